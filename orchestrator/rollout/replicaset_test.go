package rollout

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

func TestReplicaSetStatus(t *testing.T) {
	t.Parallel()
	rs := aSet("a", 5, 0, func(rs *appsv1.ReplicaSet) {
		rs.Generation = 7
		rs.Spec.MinReadySeconds = 10
	})
	pods := []*corev1.Pod{
		aPod("available", readyFor(time.Minute)),
		aPod("ready", readyFor(time.Second)),
		aPod("unready", phase(corev1.PodRunning)),
		aPod("relabelled", func(pod *corev1.Pod) { pod.Labels = map[string]string{"app": "other"} }),
		aPod("failed", phase(corev1.PodFailed)),
		aPod("succeeded", phase(corev1.PodSucceeded)),
		aPod("leaving", readyFor(time.Minute), leaving),
		aPod("failed and leaving", phase(corev1.PodFailed), leaving),
	}
	want := appsv1.ReplicaSetStatus{
		Replicas: 4, FullyLabeledReplicas: 3, ReadyReplicas: 2, AvailableReplicas: 1,
		TerminatingReplicas: new(int32(1)), ObservedGeneration: 7,
	}
	if diff := cmp.Diff(want, ReplicaSetStatus(rs, pods, nil, noon)); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

func TestReplicaSetFailure(t *testing.T) {
	t.Parallel()
	failure := appsv1.ReplicaSetCondition{Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue, Reason: ReasonFailedCreate, Message: "no", LastTransitionTime: ago(time.Hour)}
	failing := func(rs *appsv1.ReplicaSet) { rs.Status.Conditions = []appsv1.ReplicaSetCondition{failure} }
	one := []*corev1.Pod{aPod("a")}
	tests := []struct {
		name string
		rs   *appsv1.ReplicaSet
		err  error
		want []appsv1.ReplicaSetCondition
	}{
		{"none", aSet("a", 1, 1), nil, nil},
		{"too few Pods", aSet("a", 2, 1), errors.New("disk full"), []appsv1.ReplicaSetCondition{
			{Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue, Reason: ReasonFailedCreate, Message: "disk full", LastTransitionTime: ago(0)}}},
		{"too many Pods", aSet("a", 0, 1), errors.New("disk full"), []appsv1.ReplicaSetCondition{
			{Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue, Reason: ReasonFailedDelete, Message: "disk full", LastTransitionTime: ago(0)}}},
		{"goes on failing", aSet("a", 2, 1, failing), errors.New("disk full"), []appsv1.ReplicaSetCondition{failure}},
		{"over", aSet("a", 1, 1, failing), nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := ReplicaSetStatus(tt.rs, one, tt.err, noon).Conditions
			if len(got) != len(tt.want) || len(got) > 0 && !cmp.Equal(got, tt.want) {
				t.Errorf("conditions (-want +got):\n%s", cmp.Diff(tt.want, got))
			}
		})
	}
}

func TestSlowStart(t *testing.T) {
	t.Parallel()
	for count, want := range map[int][]int{
		0:  nil,
		1:  {1},
		2:  {1, 1},
		3:  {1, 2},
		4:  {1, 2, 1},
		10: {1, 2, 4, 3},
		31: {1, 2, 4, 8, 16},
	} {
		if diff := cmp.Diff(want, SlowStart(count)); diff != "" {
			t.Errorf("rounds of %d (-want +got):\n%s", count, diff)
		}
	}
}
