package traffic

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

var web = map[string]string{"app": "web"}

func newPod(name string, change ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", UID: types.UID(name), Labels: web},
		Status:     corev1.PodStatus{Phase: corev1.PodPending},
	}
	for _, c := range change {
		c(pod)
	}
	return pod
}

func phase(p corev1.PodPhase) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { pod.Status.Phase = p }
}

func waiting(reason, message string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
		}}
	}
}

func restarting(pod *corev1.Pod) {
	pod.Status.Phase = corev1.PodRunning
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
		State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1}},
	}}
}

func terminating(pod *corev1.Pod) {
	now := metav1.NewTime(time.Unix(0, 0))
	pod.DeletionTimestamp = &now
}

func otherLabels(pod *corev1.Pod) { pod.Labels = map[string]string{"app": "db"} }

func newDeployment(n int32, change ...func(*appsv1.Deployment)) *appsv1.Deployment {
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default"},
		Spec: appsv1.DeploymentSpec{
			Replicas: &n,
			Selector: &metav1.LabelSelector{MatchLabels: web},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: web}},
		},
	}
	for _, c := range change {
		c(d)
	}
	return d
}

func newReplicaSet(n int32, owned bool) *appsv1.ReplicaSet {
	r := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Name: "web-1", Namespace: "default"},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: &n,
			Selector: &metav1.LabelSelector{MatchLabels: web},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: web}},
		},
	}
	if owned {
		yes := true
		r.OwnerReferences = []metav1.OwnerReference{{Kind: "Deployment", Name: "web", Controller: &yes}}
	}
	return r
}

func TestExpectation(t *testing.T) {
	t.Parallel()
	pods := func(p ...*corev1.Pod) []*corev1.Pod { return p }
	deployment := func(n int32, change ...func(*appsv1.Deployment)) []*appsv1.Deployment {
		return []*appsv1.Deployment{newDeployment(n, change...)}
	}
	paused := func(d *appsv1.Deployment) { d.Spec.Paused = true }
	crashing := newPod("web-a", phase(corev1.PodRunning), waiting("CrashLoopBackOff", "back-off 10s restarting"))
	tests := []struct {
		name   string
		around surroundings
		ready  string
		coming bool
		reason string
	}{
		{"nothing at all", surroundings{}, "", false, "no Pod matches the selector app=web"},
		{"only others", surroundings{pods: pods(newPod("db", otherLabels))}, "", false, "no Pod matches the selector app=web"},
		{"a Pod that was just made", surroundings{pods: pods(newPod("web-a"))}, "", true, "pod web-a is starting"},
		{"a Pod that starts", surroundings{pods: pods(newPod("web-a", waiting("ContainerCreating", "")))}, "",
			true, "pod web-a is starting (ContainerCreating)"},
		{"a Pod that runs", surroundings{pods: pods(newPod("web-a", phase(corev1.PodRunning)))}, "",
			true, "pod web-a is running but not ready yet"},
		{"a Pod that restarts", surroundings{pods: pods(newPod("web-a", restarting))}, "", true, "pod web-a is restarting"},
		{"a Pod that is there already", surroundings{pods: pods(newPod("web-a", phase(corev1.PodRunning)))}, "web-a",
			false, "pod web-a has no port of the name that is the Service's targetPort"},
		{"one is there, one crashes", surroundings{pods: pods(crashing, newPod("web-b", phase(corev1.PodRunning)))}, "web-b",
			false, "pod web-b has no port of the name that is the Service's targetPort"},
		{"a Pod that crashes", surroundings{pods: pods(crashing)}, "",
			false, "pod web-a is in CrashLoopBackOff: back-off 10s restarting"},
		{"one crashes, one starts", surroundings{pods: pods(crashing, newPod("web-b"))}, "", true, "pod web-b is starting"},
		{"an image that does not exist", surroundings{pods: pods(newPod("web-a", waiting("ErrImagePull", "not found"))), deployments: deployment(1)}, "",
			false, "pod web-a is in ErrImagePull: not found"},
		{"a Pod that ends", surroundings{pods: pods(newPod("web-a", terminating))}, "", false, "pod web-a is being deleted"},
		{"a Pod that has ended", surroundings{pods: pods(newPod("web-a", phase(corev1.PodSucceeded)))}, "",
			false, "pod web-a has ended (Succeeded)"},

		{"the gap of a Recreate", surroundings{pods: pods(newPod("web-a", terminating)), deployments: deployment(1)}, "",
			true, "deployment web is about to start a Pod"},
		{"the gap after the old Pod's end", surroundings{deployments: deployment(1), replicaSets: []*appsv1.ReplicaSet{newReplicaSet(0, true)}}, "",
			true, "deployment web is about to start a Pod"},
		{"scaled to zero", surroundings{deployments: deployment(0)}, "", false, "deployment web is scaled to zero"},
		{"scaled to zero, the last one ends", surroundings{pods: pods(newPod("web-a", terminating)), deployments: deployment(0)}, "",
			false, "deployment web is scaled to zero"},
		{"every Pod of the Deployment crashes", surroundings{pods: pods(crashing), deployments: deployment(3)}, "",
			false, "pod web-a is in CrashLoopBackOff: back-off 10s restarting"},
		{"the Deployment makes more", surroundings{pods: pods(newPod("web-a", phase(corev1.PodRunning))), deployments: deployment(2)}, "web-a",
			true, "deployment web is about to start a Pod"},
		{"the Deployment has all", surroundings{pods: pods(newPod("web-a", phase(corev1.PodRunning))), deployments: deployment(1)}, "web-a",
			false, "pod web-a has no port of the name that is the Service's targetPort"},
		{"paused from the start", surroundings{deployments: deployment(1, paused)}, "", false, "deployment web is paused"},
		{"paused, its ReplicaSet goes on", surroundings{deployments: deployment(1, paused), replicaSets: []*appsv1.ReplicaSet{newReplicaSet(1, true)}}, "",
			true, "replicaset web-1 is about to start a Pod"},
		{"a ReplicaSet alone", surroundings{replicaSets: []*appsv1.ReplicaSet{newReplicaSet(1, false)}}, "",
			true, "replicaset web-1 is about to start a Pod"},
		{"a ReplicaSet scaled to zero", surroundings{replicaSets: []*appsv1.ReplicaSet{newReplicaSet(0, false)}}, "",
			false, "replicaset web-1 is scaled to zero"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := expectation(labels.SelectorFromSet(web), test.around, func(uid types.UID) bool { return string(uid) == test.ready })
			if got.Coming != test.coming || got.Reason != test.reason {
				t.Errorf("got %+v, want %t, %s", got, test.coming, test.reason)
			}
		})
	}
}

// A Pod that is still to be made may have to wait for those that leave; one that is
// there need not.
func TestExpectationTellsWhoLeavesFirst(t *testing.T) {
	t.Parallel()
	by := metav1.NewTime(time.Unix(100, 0))
	late := func(pod *corev1.Pod) { pod.DeletionTimestamp = &by }
	pods := []*corev1.Pod{newPod("web-a", terminating), newPod("web-b", late), newPod("web-c", terminating)}
	deployments := []*appsv1.Deployment{newDeployment(1)}
	for name, test := range map[string]struct {
		around surroundings
		want   time.Time
	}{
		"one is to be made": {surroundings{pods: pods, deployments: deployments}, by.Time},
		"one is starting":   {surroundings{pods: append(pods, newPod("web-d")), deployments: deployments}, time.Time{}},
	} {
		got := expectation(labels.SelectorFromSet(web), test.around, func(types.UID) bool { return false })
		if !got.Coming || !got.Leaving.Equal(test.want) {
			t.Errorf("%s: %+v, want one before it that is gone by %s", name, got, test.want)
		}
	}
}
