package deployment_test

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/kubectl/pkg/util/podutils"
	"k8s.io/utils/clock"

	"skiff/orchestrator/deployment"
	"skiff/orchestrator/informer"
	"skiff/orchestrator/replicaset"
	"skiff/orchestrator/resource"
	"skiff/orchestrator/rollout"
	"skiff/orchestrator/rollout/fakeapi"
)

const namespace = "default"

// cluster is both controllers at work on an API in memory, in a bubble of time.
// The test is the kubelet.
type cluster struct {
	t   *testing.T
	api *fakeapi.API
}

// start runs the controllers until the test ends. The test must be a bubble.
func start(t *testing.T) *cluster {
	t.Helper()
	return startAt(t, clock.RealClock{})
}

func startAt(t *testing.T, now clock.WithTicker) *cluster {
	t.Helper()
	c := &cluster{t: t, api: fakeapi.New()}
	c.api.Run(t, func(factory *informer.Factory) []func(context.Context) error {
		log := slog.New(slog.DiscardHandler)
		return []func(context.Context) error{
			deployment.New(c.api.Client, factory, log, now).Run,
			replicaset.New(c.api.Client, factory, log, now).Run,
		}
	})
	return c
}

func (c *cluster) settle() { c.api.Settle() }

func newDeployment(name string, replicas int32, change ...func(*appsv1.Deployment)) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: name, Image: name + ":1"}}},
			},
			Strategy:                rolling(intstr.FromString("25%"), intstr.FromString("25%")),
			RevisionHistoryLimit:    new(int32(10)),
			ProgressDeadlineSeconds: new(int32(600)),
		},
	}
	for _, change := range change {
		change(d)
	}
	return d
}

func rolling(surge, unavailable intstr.IntOrString) appsv1.DeploymentStrategy {
	return appsv1.DeploymentStrategy{
		Type:          appsv1.RollingUpdateDeploymentStrategyType,
		RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: &surge, MaxUnavailable: &unavailable},
	}
}

func (c *cluster) create(d *appsv1.Deployment) {
	c.t.Helper()
	if _, err := c.api.Client.AppsV1().Deployments(namespace).Create(c.t.Context(), d, metav1.CreateOptions{}); err != nil {
		c.t.Fatal(err)
	}
	c.settle()
}

func (c *cluster) edit(name string, change func(*appsv1.Deployment)) {
	c.t.Helper()
	if !c.api.Edit(namespace, name, change) {
		c.t.Fatalf("no deployment %s", name)
	}
	c.settle()
}

func (c *cluster) setImage(name, image string) {
	c.t.Helper()
	c.edit(name, func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = image })
}

func (c *cluster) deployment(name string) *appsv1.Deployment {
	c.t.Helper()
	for _, d := range c.api.State().Deployments {
		if d.Name == name {
			return d
		}
	}
	c.t.Fatalf("no deployment %s", name)
	return nil
}

// sets gives the sizes of the ReplicaSets by image: "web:1=0 web:2=3".
func (c *cluster) sets() string {
	sets := c.api.State().ReplicaSets
	slices.SortFunc(sets, func(a, b *appsv1.ReplicaSet) int {
		return cmp.Compare(image(&a.Spec.Template.Spec), image(&b.Spec.Template.Spec))
	})
	var out []string
	for _, rs := range sets {
		out = append(out, fmt.Sprintf("%s=%d", image(&rs.Spec.Template.Spec), *rs.Spec.Replicas))
	}
	return strings.Join(out, " ")
}

func (c *cluster) set(imageName string) *appsv1.ReplicaSet {
	c.t.Helper()
	for _, rs := range c.api.State().ReplicaSets {
		if image(&rs.Spec.Template.Spec) == imageName {
			return rs
		}
	}
	c.t.Fatalf("no replica set with %s", imageName)
	return nil
}

// pods are the active Pods with an image.
func (c *cluster) pods(imageName string) []*corev1.Pod {
	var pods []*corev1.Pod
	for _, pod := range c.api.State().Pods {
		if resource.IsActive(pod) && image(&pod.Spec) == imageName {
			pods = append(pods, pod)
		}
	}
	return pods
}

// kubelet makes every Pod Ready that isGood, and ends those that are to go,
// until nothing moves any more.
func (c *cluster) kubelet(isGood func(image string) bool) {
	c.t.Helper()
	for range 1000 {
		moved := false
		for _, pod := range c.api.State().Pods {
			switch {
			case pod.DeletionTimestamp != nil:
				moved = c.api.Finish(namespace, pod.Name) || moved
			case resource.IsFinished(pod):
			case !podutils.IsPodReady(pod) && isGood(image(&pod.Spec)):
				moved = c.ready(pod, true) || moved
			}
		}
		if !moved {
			return
		}
		c.settle()
	}
	c.t.Fatal("the cluster does not come to rest")
}

func (c *cluster) ready(pod *corev1.Pod, isReady bool) bool {
	return c.api.SetPod(namespace, pod.Name, func(pod *corev1.Pod) { setReady(pod, isReady) })
}

func setReady(pod *corev1.Pod, isReady bool) {
	status := corev1.ConditionFalse
	if isReady {
		status = corev1.ConditionTrue
	}
	pod.Spec.NodeName = "skiff"
	pod.Status.Phase = corev1.PodRunning
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: status, LastTransitionTime: metav1.NewTime(time.Now())}}
}

func everyImage(string) bool { return true }

func image(spec *corev1.PodSpec) string { return spec.Containers[0].Image }

func (c *cluster) wantSets(want string) {
	c.t.Helper()
	if got := c.sets(); got != want {
		c.t.Errorf("replica sets are %q, want %q", got, want)
	}
}

func (c *cluster) wantCondition(name string, kind appsv1.DeploymentConditionType, status corev1.ConditionStatus, reason, message string) {
	c.t.Helper()
	d := c.deployment(name)
	got := rollout.Condition(&d.Status, kind)
	if got == nil {
		c.t.Errorf("no condition %s, want %s", kind, reason)
		return
	}
	if got.Status != status || got.Reason != reason || got.Message != message {
		c.t.Errorf("condition %s is %s %s %q, want %s %s %q", kind, got.Status, got.Reason, got.Message, status, reason, message)
	}
}

func (c *cluster) wantEvents(want ...string) {
	c.t.Helper()
	var got []string
	for _, event := range c.api.Events() {
		if strings.Contains(event, "ScalingReplicaSet") {
			got = append(got, event)
		}
	}
	if !slices.Equal(got, want) {
		c.t.Errorf("events are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
