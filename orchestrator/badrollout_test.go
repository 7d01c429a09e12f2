package orchestrator_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/examples/load"
	"skiff/orchestrator/skifftest"
)

// TestBadRollouts moves to versions that cannot work: the old Pods must serve
// on, the Deployment and the events must say why, and taking the change back
// must not touch a Pod that survived.
func TestBadRollouts(t *testing.T) {
	images(t)
	deadline := int32(8)
	for name, bad := range map[string]struct {
		change func(*appsv1.Deployment)
		reason string // of an event of the new Pod
		words  string // in that event's message
	}{
		"image that does not exist": {
			change: func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = "skiff-example/absent:1" },
			reason: "Failed", words: "skiff-example/absent:1",
		},
		"container that exits at once": {
			change: func(d *appsv1.Deployment) {
				d.Spec.Template.Spec.Containers[0].Args = nil
				setEnv("LATENCY", "never")(d)
			},
			reason: "BackOff", words: "Back-off restarting failed container web",
		},
		"probe that never passes": {
			change: setEnv("NEVER_READY", "true"),
			reason: "Unhealthy", words: "Readiness probe failed: HTTP probe failed with statuscode: 500",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := skifftest.New(t)
			i.Deploy(t, web(3, func(d *appsv1.Deployment) { d.Spec.ProgressDeadlineSeconds = &deadline }))
			address := i.Expose(t, nodePort("web", "http"))
			waitAnswer(t, address)

			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			result := make(chan *load.Result, 1)
			go func() { result <- load.Run(ctx, load.Options{Address: address, Rate: 100, Fresh: 0.5}, nil) }()

			i.Update(t, "web", func(d *appsv1.Deployment) { bad.change(d); version(2)(d) })
			d := i.WaitDeployment(t, "web", func(d *appsv1.Deployment) bool {
				c := condition(d, appsv1.DeploymentProgressing)
				return d.Status.ObservedGeneration == d.Generation && c.Reason == "ProgressDeadlineExceeded"
			})
			if d.Status.AvailableReplicas < 3 {
				t.Errorf("%d of 3 replicas are available", d.Status.AvailableReplicas)
			}
			if !hasEvent(t, i, bad.reason, bad.words) {
				t.Errorf("no event %s with %q", bad.reason, bad.words)
			}
			before := oldPods(t, i)
			if len(before) != 3 {
				t.Errorf("%d Pods of the old version are left", len(before))
			}
			i.Update(t, "web", func(d *appsv1.Deployment) { d.Spec.Template = web(3).Spec.Template })
			i.WaitRollout(t, "web")
			if after := oldPods(t, i); !maps.Equal(before, after) {
				t.Errorf("the way back touched Pods that survived: before %v, after %v", before, after)
			}
			stop()
			r := <-result
			for _, s := range r.Failures() {
				t.Errorf("a request was lost: %v", s.Err)
			}
			if r.ByVersion()["2"] > 0 {
				t.Errorf("a version that never was ready answered: %v", r.ByVersion())
			}
		})
	}
}

func condition(d *appsv1.Deployment, kind appsv1.DeploymentConditionType) appsv1.DeploymentCondition {
	n := slices.IndexFunc(d.Status.Conditions, func(c appsv1.DeploymentCondition) bool { return c.Type == kind })
	if n < 0 {
		return appsv1.DeploymentCondition{}
	}
	return d.Status.Conditions[n]
}

// hasEvent waits for an event with the reason whose message has the words:
// events are written beside what they tell of, not before it.
func hasEvent(t *testing.T, i *skifftest.Instance, reason, words string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	events := i.Client.CoreV1().Events(skifftest.Namespace)
	list, err := events.List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	matches := func(e *corev1.Event) bool { return e.Reason == reason && strings.Contains(e.Message, words) }
	if slices.ContainsFunc(list.Items, func(e corev1.Event) bool { return matches(&e) }) {
		return true
	}
	w, err := events.Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	for {
		select {
		case change, open := <-w.ResultChan():
			if !open {
				return false
			}
			if e, ok := change.Object.(*corev1.Event); ok && matches(e) {
				return true
			}
		case <-ctx.Done():
			return false
		}
	}
}

// oldPods gives the restart count of every Pod of version 1, by UID.
func oldPods(t *testing.T, i *skifftest.Instance) map[string]int32 {
	t.Helper()
	pods, err := i.Client.CoreV1().Pods(skifftest.Namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app=web"})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int32{}
	for _, p := range pods.Items {
		isOld := slices.Contains(p.Spec.Containers[0].Env, corev1.EnvVar{Name: "VERSION", Value: "1"})
		if isOld && p.DeletionTimestamp == nil && len(p.Status.ContainerStatuses) == 1 {
			found[string(p.UID)] = p.Status.ContainerStatuses[0].RestartCount
		}
	}
	return found
}
