package rollout

import (
	"fmt"
	"math"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// Status is what d's ReplicaSets add up to. was is the status so far, with what
// this round has noted in it; its conditions and collision count are carried on.
func Status(d *appsv1.Deployment, was *appsv1.DeploymentStatus, current *appsv1.ReplicaSet, old []*appsv1.ReplicaSet, now time.Time) appsv1.DeploymentStatus {
	all := All(current, old)
	status := appsv1.DeploymentStatus{
		ObservedGeneration:  d.Generation,
		CollisionCount:      was.CollisionCount,
		Conditions:          slices.Clone(was.Conditions),
		TerminatingReplicas: terminating(all),
	}
	for _, rs := range all {
		status.Replicas += rs.Status.Replicas
		status.ReadyReplicas += rs.Status.ReadyReplicas
		status.AvailableReplicas += rs.Status.AvailableReplicas
	}
	if current != nil {
		status.UpdatedReplicas = current.Status.Replicas
	}
	status.UnavailableReplicas = max(0, totalSize(all)-status.AvailableReplicas)

	available := newCondition(appsv1.DeploymentAvailable, corev1.ConditionTrue, ReasonEnoughAvailable, messageEnoughAvailable, now)
	if status.AvailableReplicas < Replicas(d)-MaxUnavailable(d) {
		available = newCondition(appsv1.DeploymentAvailable, corev1.ConditionFalse, ReasonTooFewAvailable, messageTooFewAvailable, now)
	}
	setCondition(&status, available)
	return status
}

// terminating is nil where a set does not count its own yet.
func terminating(sets []*appsv1.ReplicaSet) *int32 {
	var n int32
	for _, rs := range sets {
		if rs.Status.TerminatingReplicas == nil {
			return nil
		}
		n += *rs.Status.TerminatingReplicas
	}
	return &n
}

// Judge adds to status how the rollout goes: complete, progressing, or stuck
// for longer than its deadline. was is the status it had when this round began.
func Judge(d *appsv1.Deployment, was *appsv1.DeploymentStatus, status *appsv1.DeploymentStatus, current *appsv1.ReplicaSet, now time.Time) {
	subject := fmt.Sprintf("Deployment %q", d.Name)
	if current != nil {
		subject = fmt.Sprintf("ReplicaSet %q", current.Name)
	}
	note := func(value corev1.ConditionStatus, reason, suffix string) appsv1.DeploymentCondition {
		return newCondition(appsv1.DeploymentProgressing, value, reason, subject+" "+suffix, now)
	}
	cond := Condition(status, appsv1.DeploymentProgressing)
	wasComplete := status.Replicas == status.UpdatedReplicas && cond != nil && cond.Reason == ReasonComplete
	switch {
	case !hasDeadline(d):
		removeCondition(status, appsv1.DeploymentProgressing)
	case wasComplete:
		// Pods that come and go later are no rollout.
	case IsComplete(d, status):
		setCondition(status, note(corev1.ConditionTrue, ReasonComplete, messageSuffixComplete))
	case isProgressing(was, status):
		replaceCondition(status, note(corev1.ConditionTrue, ReasonUpdated, messageSuffixProgresses))
	case isTimedOut(d, cond, now):
		setCondition(status, note(corev1.ConditionFalse, ReasonTimedOut, messageSuffixTimedOut))
	}
}

// CopyFailure shows the newest ReplicaSet's trouble in creating or deleting
// Pods as the Deployment's own, or else that of an older one.
func CopyFailure(status *appsv1.DeploymentStatus, current *appsv1.ReplicaSet, old []*appsv1.ReplicaSet) {
	all := All(current, old)
	slices.Reverse(all)
	for _, rs := range all {
		for _, c := range rs.Status.Conditions {
			if c.Type != appsv1.ReplicaSetReplicaFailure {
				continue
			}
			setCondition(status, appsv1.DeploymentCondition{
				Type: appsv1.DeploymentReplicaFailure, Status: c.Status, Reason: c.Reason, Message: c.Message,
				LastUpdateTime: c.LastTransitionTime, LastTransitionTime: c.LastTransitionTime,
			})
			return
		}
	}
	removeCondition(status, appsv1.DeploymentReplicaFailure)
}

// IsComplete says whether all that d asks for is there, and nothing else.
func IsComplete(d *appsv1.Deployment, status *appsv1.DeploymentStatus) bool {
	return status.UpdatedReplicas == Replicas(d) &&
		status.Replicas == Replicas(d) &&
		status.AvailableReplicas == Replicas(d) &&
		status.ObservedGeneration >= d.Generation
}

// isProgressing says whether there are more updated, ready or available Pods
// than before, or fewer old ones.
func isProgressing(was, status *appsv1.DeploymentStatus) bool {
	return status.UpdatedReplicas > was.UpdatedReplicas ||
		status.Replicas-status.UpdatedReplicas < was.Replicas-was.UpdatedReplicas ||
		status.ReadyReplicas > was.ReadyReplicas ||
		status.AvailableReplicas > was.AvailableReplicas
}

func isTimedOut(d *appsv1.Deployment, progressing *appsv1.DeploymentCondition, now time.Time) bool {
	switch {
	case progressing == nil || progressing.Reason == ReasonComplete:
		return false
	case progressing.Reason == ReasonTimedOut:
		return true
	default:
		return !now.Before(deadline(d, progressing))
	}
}

// UntilTimeout is how long from now d's rollout times out if nothing moves; ok
// is false where nothing is to be waited for.
func UntilTimeout(d *appsv1.Deployment, status *appsv1.DeploymentStatus, now time.Time) (wait time.Duration, ok bool) {
	progressing := Condition(status, appsv1.DeploymentProgressing)
	switch {
	case !hasDeadline(d) || d.Spec.Paused || progressing == nil:
		return 0, false
	case progressing.Reason == ReasonTimedOut || progressing.Reason == ReasonComplete:
		return 0, false
	}
	return max(0, deadline(d, progressing).Sub(now)), true
}

func deadline(d *appsv1.Deployment, progressing *appsv1.DeploymentCondition) time.Time {
	return progressing.LastUpdateTime.Add(time.Duration(*d.Spec.ProgressDeadlineSeconds) * time.Second)
}

// hasDeadline: Kubernetes writes "none" as the largest number.
func hasDeadline(d *appsv1.Deployment) bool {
	return d.Spec.ProgressDeadlineSeconds != nil && *d.Spec.ProgressDeadlineSeconds != math.MaxInt32
}
