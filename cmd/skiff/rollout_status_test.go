package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// stuck writes down a rollout as the controllers leave it when it is overdue.
func (c *cluster) stuck(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	deployments, sets, pods := c.client.AppsV1().Deployments("default"), c.client.AppsV1().ReplicaSets("default"), c.client.CoreV1().Pods("default")
	d, err := deployments.Get(ctx, "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	template := *d.Spec.Template.DeepCopy()
	template.Labels["pod-template-hash"] = "abc"
	set, err := sets.Create(ctx, &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Name: "web-abc", Labels: template.Labels,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(d, appsv1.SchemeGroupVersion.WithKind("Deployment"))},
		},
		Spec: appsv1.ReplicaSetSpec{Replicas: d.Spec.Replicas, Selector: &metav1.LabelSelector{MatchLabels: template.Labels}, Template: template},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pod, err := pods.Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web-abc-1", Labels: set.Spec.Template.Labels},
		Spec:       set.Spec.Template.Spec,
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "web", Image: "web:1", State: corev1.ContainerState{
		Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: "no such image"},
	}}}
	if _, err := pods.UpdateStatus(ctx, pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	d.Status = appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: 1, UpdatedReplicas: 1, UnavailableReplicas: 1, Conditions: []appsv1.DeploymentCondition{{
		Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Reason: "ProgressDeadlineExceeded", Message: `ReplicaSet "web-abc" has timed out progressing.`,
	}}}
	if _, err := deployments.UpdateStatus(ctx, d, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestRolloutStatus(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	file := c.write(t, "web.yaml", webAndService)
	c.run(t, "", "create", "-f", file)

	want := result{"Waiting for deployment spec update to be observed...\n", "error: timed out waiting for the condition\n", 1}
	if diff := cmp.Diff(want, c.run(t, "", "rollout", "status", "deployment/web", "--timeout=1s")); diff != "" {
		t.Errorf("nothing happens (-want +got):\n%s", diff)
	}

	watched := make(chan result, 1)
	go func() { watched <- c.run(t, "", "rollout", "status", "-f", file) }()
	c.stuck(t)
	want = result{"", `error: deployment "web" exceeded its progress deadline
  ProgressDeadlineExceeded: ReplicaSet "web-abc" has timed out progressing.
  pod/web-abc-1: container web: ErrImagePull: no such image
`, 1}
	got := <-watched
	got.Out = "" // what it waited for depends on when it looked first
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("a rollout that is overdue (-want +got):\n%s", diff)
	}

	c.complete(t)
	want = result{"deployment \"web\" successfully rolled out\n", "", 0}
	if diff := cmp.Diff(want, c.run(t, "", "rollout", "status", "deployment/web")); diff != "" {
		t.Errorf("a rollout that is done (-want +got):\n%s", diff)
	}
}

// TestRolloutStatusOfOldVersion: a Deployment's version that the server does not
// remember any more, as none is after a restart, is nothing to the user.
func TestRolloutStatusOfOldVersion(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.run(t, "", "create", "-f", c.write(t, "web.yaml", webAndService))
	c.run(t, "", "create", "-f", c.write(t, "other.yaml", strings.ReplaceAll(webAndService, "name: web", "name: other")))
	c.forget(t, "web", "other")

	want := result{"Waiting for deployment spec update to be observed...\n", "error: timed out waiting for the condition\n", 1}
	if diff := cmp.Diff(want, c.run(t, "", "rollout", "status", "deployment/web", "--timeout=1s")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	want = result{"", "Error from server (NotFound): deployments.apps \"gone\" not found\n", 1}
	if diff := cmp.Diff(want, c.run(t, "", "rollout", "status", "deployment/gone")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// forget changes a Deployment until the server does not remember what was since
// the last change of another one.
func (c *cluster) forget(t *testing.T, unchanged, changed string) {
	t.Helper()
	deployments := c.client.AppsV1().Deployments("default")
	d, err := deployments.Get(t.Context(), unchanged, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 100 {
		text := fmt.Sprintf(`{"metadata": {"annotations": {"text": "%d %s"}}}`, n, strings.Repeat("x", 200<<10))
		if _, err := deployments.Patch(t.Context(), changed, types.MergePatchType, []byte(text), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		events, err := deployments.Watch(t.Context(), metav1.ListOptions{ResourceVersion: d.ResourceVersion})
		if err != nil {
			t.Fatal(err)
		}
		first := <-events.ResultChan()
		events.Stop()
		if apierrors.IsResourceExpired(apierrors.FromObject(first.Object)) {
			return
		}
	}
	t.Fatal("the server remembers all of it")
}
