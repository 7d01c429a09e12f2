package replicaset_test

import (
	"context"
	"log/slog"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"skiff/orchestrator/informer"
	"skiff/orchestrator/replicaset"
	"skiff/orchestrator/resource"
	"skiff/orchestrator/rollout/fakeapi"
)

const namespace = "default"

// cluster is the controller at work on an API in memory, in a bubble of time.
type cluster struct {
	t   *testing.T
	api *fakeapi.API
}

func start(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t, api: fakeapi.New()}
	c.api.Run(t, func(factory *informer.Factory) []func(context.Context) error {
		return []func(context.Context) error{
			replicaset.New(c.api.Client, factory, slog.New(slog.DiscardHandler), clock.RealClock{}).Run,
		}
	})
	return c
}

func (c *cluster) settle() { c.api.Settle() }

func aSet(name string, replicas int32) *appsv1.ReplicaSet {
	labels := map[string]string{"app": name}
	return &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: map[string]string{"note": "kept"}},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web:1"}}},
			},
		},
	}
}

func (c *cluster) create(rs *appsv1.ReplicaSet) {
	c.t.Helper()
	if _, err := c.api.Client.AppsV1().ReplicaSets(namespace).Create(c.t.Context(), rs, metav1.CreateOptions{}); err != nil {
		c.t.Fatal(err)
	}
	c.settle()
}

func (c *cluster) resize(name string, replicas int32) {
	c.t.Helper()
	rs := c.set(name).DeepCopy()
	rs.Spec.Replicas = &replicas
	if _, err := c.api.Client.AppsV1().ReplicaSets(namespace).Update(c.t.Context(), rs, metav1.UpdateOptions{}); err != nil {
		c.t.Fatal(err)
	}
	c.settle()
}

func (c *cluster) set(name string) *appsv1.ReplicaSet {
	c.t.Helper()
	for _, rs := range c.api.State().ReplicaSets {
		if rs.Name == name {
			return rs
		}
	}
	c.t.Fatalf("no replica set %s", name)
	return nil
}

func (c *cluster) active() []*corev1.Pod {
	return slices.DeleteFunc(c.api.State().Pods, func(pod *corev1.Pod) bool { return !resource.IsActive(pod) })
}

func (c *cluster) ready(pod *corev1.Pod) {
	c.api.SetPod(namespace, pod.Name, func(pod *corev1.Pod) {
		pod.Spec.NodeName = "skiff"
		pod.Status.Phase = corev1.PodRunning
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()}}
	})
	c.settle()
}

func (c *cluster) wantPods(want int) {
	c.t.Helper()
	if got := len(c.active()); got != want {
		c.t.Fatalf("%d active pods, want %d", got, want)
	}
}

func count(all []string, one string) (n int) {
	for _, s := range all {
		if s == one {
			n++
		}
	}
	return n
}
