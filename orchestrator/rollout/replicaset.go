package rollout

import (
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/kubectl/pkg/util/podutils"

	"skiff/orchestrator/resource"
)

// Why a ReplicaSet has not the Pods that it should have.
const (
	ReasonFailedCreate = "FailedCreate"
	ReasonFailedDelete = "FailedDelete"
)

// ReplicaSetStatus is what rs's Pods, terminating ones included, add up to.
// failure is what came of creating or deleting Pods in this round.
func ReplicaSetStatus(rs *appsv1.ReplicaSet, pods []*corev1.Pod, failure error, now time.Time) appsv1.ReplicaSetStatus {
	status := appsv1.ReplicaSetStatus{
		ObservedGeneration: rs.Generation,
		Conditions:         slices.Clone(rs.Status.Conditions),
	}
	template := labels.Set(rs.Spec.Template.Labels).AsSelectorPreValidated()
	var leaving int32
	for _, pod := range pods {
		if resource.IsFinished(pod) {
			continue
		}
		if pod.DeletionTimestamp != nil {
			leaving++
			continue
		}
		status.Replicas++
		if template.Matches(labels.Set(pod.Labels)) {
			status.FullyLabeledReplicas++
		}
		if podutils.IsPodReady(pod) {
			status.ReadyReplicas++
		}
		if IsAvailable(pod, rs.Spec.MinReadySeconds, now) {
			status.AvailableReplicas++
		}
	}
	status.TerminatingReplicas = &leaving
	setFailure(&status, Size(rs), failure, now)
	return status
}

func setFailure(status *appsv1.ReplicaSetStatus, size int32, failure error, now time.Time) {
	at := slices.IndexFunc(status.Conditions, func(c appsv1.ReplicaSetCondition) bool {
		return c.Type == appsv1.ReplicaSetReplicaFailure
	})
	switch {
	case failure == nil && at >= 0:
		status.Conditions = slices.Delete(status.Conditions, at, at+1)
	case failure != nil && at < 0:
		reason := ReasonFailedCreate
		if status.Replicas > size {
			reason = ReasonFailedDelete
		}
		status.Conditions = append(status.Conditions, appsv1.ReplicaSetCondition{
			Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue,
			Reason: reason, Message: failure.Error(), LastTransitionTime: metav1.NewTime(now),
		})
	}
}

// SlowStart splits count creations into rounds of 1, 2, 4 and so on: should the
// first one fail, for a reason that would meet all of them, the rest is spared.
func SlowStart(count int) []int {
	var rounds []int
	for size := 1; count > 0; size *= 2 {
		rounds = append(rounds, min(size, count))
		count -= size
	}
	return rounds
}
