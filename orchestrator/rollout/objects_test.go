package rollout

import (
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// noon is the time of all tests.
var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) metav1.Time { return metav1.NewTime(noon.Add(-d)) }

func aDeployment(replicas int32, surge, unavailable string) *appsv1.Deployment {
	s, u := intstr.Parse(surge), intstr.Parse(unavailable)
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default"},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Template: aTemplate("web:new"),
			Strategy: appsv1.DeploymentStrategy{
				Type:          appsv1.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: &s, MaxUnavailable: &u},
			},
			ProgressDeadlineSeconds: new(int32(600)),
		},
	}
}

func aTemplate(image string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: image}}},
	}
}

// aSet has size Pods, of which so many are available; its name also tells its
// age: older is less.
func aSet(name string, size, available int32, change ...func(*appsv1.ReplicaSet)) *appsv1.ReplicaSet {
	rs := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", UID: types.UID(name), Generation: 1},
		Spec:       appsv1.ReplicaSetSpec{Replicas: &size, Template: aTemplate("web:" + name)},
		Status: appsv1.ReplicaSetStatus{
			ObservedGeneration: 1, Replicas: size, ReadyReplicas: available, AvailableReplicas: available,
			TerminatingReplicas: new(int32(0)),
		},
	}
	for _, change := range change {
		change(rs)
	}
	return rs
}

func sizedFor(replicas, most int) func(*appsv1.ReplicaSet) {
	return func(rs *appsv1.ReplicaSet) {
		annotate(rs, DesiredReplicasAnnotation, strconv.Itoa(replicas))
		annotate(rs, MaxReplicasAnnotation, strconv.Itoa(most))
	}
}

func revision(n int) func(*appsv1.ReplicaSet) {
	return func(rs *appsv1.ReplicaSet) { annotate(rs, RevisionAnnotation, strconv.Itoa(n)) }
}

func unsettled(rs *appsv1.ReplicaSet) { rs.Generation++ }

func aPod(name string, change ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), Labels: map[string]string{"app": "web"}}}
	for _, change := range change {
		change(pod)
	}
	return pod
}

func phase(phase corev1.PodPhase) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.Spec.NodeName = "skiff"
		pod.Status.Phase = phase
	}
}

func readyFor(d time.Duration) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		phase(corev1.PodRunning)(pod)
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: ago(d)}}
	}
}

func cost(n string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { annotate(pod, corev1.PodDeletionCost, n) }
}

func restarted(n int32) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{RestartCount: 0}, {RestartCount: n}}
	}
}

func aged(d time.Duration) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { pod.CreationTimestamp = ago(d) }
}

func leaving(pod *corev1.Pod) { pod.DeletionTimestamp = new(ago(time.Second)) }
