package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func TestReasons(t *testing.T) {
	t.Parallel()
	pod := func(name string, status ...corev1.ContainerStatus) corev1.Pod {
		for i := range status {
			status[i].Name = "web"
		}
		return corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)},
			Status:     corev1.PodStatus{ContainerStatuses: status},
		}
	}
	waiting := corev1.ContainerStatus{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: `Back-off pulling image "nope"`}}}
	crashing := corev1.ContainerStatus{
		State:                corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: "back-off 10s"}},
		LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 3, Reason: "Error"}},
		RestartCount:         2,
	}
	unstarted := corev1.ContainerStatus{
		State: crashing.State, RestartCount: 1,
		LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: 127, Reason: "StartError", Message: `exec: "nosuch": not found`}},
	}
	running := corev1.ContainerStatus{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
	ready := running
	ready.Ready = true
	event := func(pod, message string, second int64) corev1.Event {
		return corev1.Event{
			InvolvedObject: corev1.ObjectReference{UID: types.UID(pod)}, Type: corev1.EventTypeWarning, Message: message,
			LastTimestamp: metav1.Unix(second, 0),
		}
	}
	one := int32(1)
	set := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: "web-1"}, Spec: appsv1.ReplicaSetSpec{Replicas: &one}}
	deadline := appsv1.DeploymentStatus{Conditions: []appsv1.DeploymentCondition{{
		Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Reason: "ProgressDeadlineExceeded", Message: `ReplicaSet "web-1" has timed out progressing.`,
	}}}
	for _, test := range []struct {
		name   string
		status appsv1.DeploymentStatus
		pods   []corev1.Pod
		events []corev1.Event
		want   []string
	}{
		{name: "condition", status: deadline, pods: []corev1.Pod{pod("a", ready)},
			want: []string{`ProgressDeadlineExceeded: ReplicaSet "web-1" has timed out progressing.`}},
		{name: "no pods", want: []string{"replicaset/web-1 has no Pods"}},
		{name: "image, twice", pods: []corev1.Pod{pod("a", waiting), pod("b", waiting)},
			want: []string{`pod/a (and 1 more): container web: ImagePullBackOff: Back-off pulling image "nope"`}},
		{name: "crash", pods: []corev1.Pod{pod("a", crashing)},
			want: []string{"pod/a: container web: CrashLoopBackOff: back-off 10s; it ended with exit code 3 (Error), 2 restarts"}},
		{name: "no start", pods: []corev1.Pod{pod("a", unstarted)},
			want: []string{`pod/a: container web: CrashLoopBackOff: back-off 10s; it ended with exit code 127 (StartError: exec: "nosuch": not found), 1 restarts`}},
		{name: "no room", pods: []corev1.Pod{pod("a")}, events: []corev1.Event{event("a", "1 Insufficient cpu.", 1)},
			want: []string{`pod/a: 1 Insufficient cpu. ("skiff up --cpus" sets how much skiff's node offers)`}},
		{name: "probe", pods: []corev1.Pod{pod("a", running)},
			events: []corev1.Event{event("a", "Readiness probe failed: 503", 5), event("a", "older", 1), event("b", "another's", 9)},
			want:   []string{"pod/a: container web: not ready: Readiness probe failed: 503"}},
		{name: "nothing known", pods: []corev1.Pod{pod("a", running)}, want: []string{"pod/a: container web: not ready"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := reasons(&appsv1.Deployment{Status: test.status}, set, test.pods, test.events)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("reasons (-want +got):\n%s", diff)
			}
		})
	}
}
