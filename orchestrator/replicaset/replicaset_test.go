package replicaset_test

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clienttesting "k8s.io/client-go/testing"

	"skiff/orchestrator/rollout/fakeapi"
)

func TestCreatesPodsFromItsTemplate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := start(t)
		c.create(aSet("web", 3))
		c.wantPods(3)
		for _, pod := range c.active() {
			if suffix, ok := strings.CutPrefix(pod.Name, "web-"); !ok || len(suffix) != 5 {
				t.Errorf("pod is called %s, want web- and five letters", pod.Name)
			}
			if !metav1.IsControlledBy(pod, c.set("web")) || pod.Labels["app"] != "web" || pod.Annotations["note"] != "kept" || pod.Spec.Containers[0].Image != "web:1" {
				t.Errorf("pod is %+v", pod)
			}
			if !slices.Contains(c.api.Events(), "Normal SuccessfulCreate Created pod: "+pod.Name) {
				t.Errorf("events are %v", c.api.Events())
			}
		}
		if s := c.set("web").Status; s.Replicas != 3 || s.FullyLabeledReplicas != 3 || s.ReadyReplicas != 0 || s.ObservedGeneration != 1 {
			t.Errorf("status is %+v", s)
		}
		// One write for the Pods, though none was seen by the informer then.
		if n := count(c.api.Requests(), "update replicasets/status"); n != 1 {
			t.Errorf("status was written %d times", n)
		}
	})
}

func TestDeletesWhatIsMissedLeast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := start(t)
		c.create(aSet("web", 3))
		kept := c.active()[1]
		c.ready(kept)
		c.resize("web", 1)
		c.wantPods(1)
		if left := c.active()[0]; left.UID != kept.UID {
			t.Errorf("%s is left, want the ready %s", left.Name, kept.Name)
		}
		if n := count(c.api.Requests(), "delete pods"); n != 2 {
			t.Errorf("%d pods were deleted, want 2", n)
		}
		if s := c.set("web").Status; s.Replicas != 1 || s.TerminatingReplicas == nil || *s.TerminatingReplicas != 2 || s.ObservedGeneration != 2 {
			t.Errorf("status is %+v", s)
		}
		if events := strings.Join(c.api.Events(), "\n"); !strings.Contains(events, "Normal SuccessfulDelete Deleted pod: web-") {
			t.Errorf("events are %s", events)
		}
	})
}

func TestReplacesPodsThatAreGone(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(c *cluster, pod *corev1.Pod) error{
		"deleted": func(c *cluster, pod *corev1.Pod) error {
			return c.api.Client.CoreV1().Pods(namespace).Delete(c.t.Context(), pod.Name, metav1.DeleteOptions{})
		},
		"vanished": func(c *cluster, pod *corev1.Pod) error {
			c.api.Finish(namespace, pod.Name)
			return nil
		},
		"failed": func(c *cluster, pod *corev1.Pod) error {
			c.api.SetPod(namespace, pod.Name, func(pod *corev1.Pod) { pod.Status.Phase = corev1.PodFailed })
			return nil
		},
		"succeeded": func(c *cluster, pod *corev1.Pod) error {
			c.api.SetPod(namespace, pod.Name, func(pod *corev1.Pod) { pod.Status.Phase = corev1.PodSucceeded })
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := start(t)
				c.create(aSet("web", 2))
				lost := c.active()[0]
				if err := lose(c, lost); err != nil {
					t.Fatal(err)
				}
				c.settle()
				c.wantPods(2)
				if slices.ContainsFunc(c.active(), func(pod *corev1.Pod) bool { return pod.UID == lost.UID }) {
					t.Error("the lost pod counts still")
				}
			})
		})
	}
}

// The informer shows nothing of what happens to Pods: the controller counts
// what it did itself, and does not do it again.
func TestBlindControllerDoesNothingTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := start(t)
		c.api.Hold(fakeapi.Pods)
		c.create(aSet("web", 3))
		c.wantPods(3)
		for _, replicas := range []int32{5, 2, 4} {
			c.resize("web", replicas)
			c.wantPods(int(replicas))
			if s := c.set("web").Status; s.Replicas != replicas {
				t.Errorf("status counts %d, want %d", s.Replicas, replicas)
			}
		}
		c.api.Release(fakeapi.Pods)
		c.settle()
		c.wantPods(4)
		if n := count(c.api.Requests(), "create pods"); n != 7 {
			t.Errorf("%d pods were created, want 7", n)
		}
	})
}

// Created, then removed by someone else while the informer saw neither: after a
// while the controller no longer believes in it.
func TestUnseenPodIsMissedInTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := start(t)
		c.api.Hold(fakeapi.Pods)
		c.create(aSet("web", 1))
		c.wantPods(1)
		c.api.Finish(namespace, c.active()[0].Name)
		c.settle()
		c.wantPods(0)
		time.Sleep(31 * time.Second)
		c.settle()
		c.wantPods(1)
	})
}

func TestMinReadySeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := start(t)
		rs := aSet("web", 1)
		rs.Spec.MinReadySeconds = 10
		c.create(rs)
		c.ready(c.active()[0])
		if s := c.set("web").Status; s.ReadyReplicas != 1 || s.AvailableReplicas != 0 {
			t.Errorf("at once: %+v", s)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if s := c.set("web").Status; s.AvailableReplicas != 1 {
			t.Errorf("after 10 s: %+v", s)
		}
	})
}

func TestAdoptsAndReleases(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := start(t)
		orphan := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "orphan", Labels: map[string]string{"app": "web"}}}
		if _, err := c.api.Client.CoreV1().Pods(namespace).Create(t.Context(), orphan, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		c.settle()
		c.create(aSet("web", 2))
		c.wantPods(2)
		if !slices.ContainsFunc(c.active(), func(pod *corev1.Pod) bool {
			return pod.Name == "orphan" && metav1.IsControlledBy(pod, c.set("web"))
		}) {
			t.Error("the orphan was not taken in")
		}
		c.api.SetPod(namespace, "orphan", func(pod *corev1.Pod) { pod.Labels = map[string]string{"app": "other"} })
		c.settle()
		c.wantPods(3) // the one let go, and two of the set
		for _, pod := range c.active() {
			if owned := len(pod.OwnerReferences) > 0; owned == (pod.Name == "orphan") {
				t.Errorf("%s is owned: %v", pod.Name, owned)
			}
		}
	})
}

// The informer shows a set that was replaced by another of the same name: the
// old one takes in nobody any more.
func TestDoesNotAdoptForAReplacedSet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := start(t)
		c.create(aSet("web", 0))
		former := c.set("web").UID
		c.api.Hold(fakeapi.ReplicaSets)
		if err := c.api.Client.AppsV1().ReplicaSets(namespace).Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		c.create(aSet("web", 1))
		orphan := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "orphan", Labels: map[string]string{"app": "web"}}}
		if _, err := c.api.Client.CoreV1().Pods(namespace).Create(t.Context(), orphan, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		c.settle()
		for _, pod := range c.active() {
			if ref := metav1.GetControllerOf(pod); ref != nil && ref.UID == former {
				t.Errorf("%s was taken in by the former set", pod.Name)
			}
		}
		c.api.Release(fakeapi.ReplicaSets)
		c.settle()
		c.wantPods(1)
		if !metav1.IsControlledBy(c.active()[0], c.set("web")) {
			t.Error("the orphan was not taken in by the new set")
		}
	})
}

func TestFailingCreationIsShownAndTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := start(t)
		var allowed atomic.Bool
		var attempts atomic.Int32
		c.api.Intercept = func(action clienttesting.Action) error {
			if !action.Matches("create", "pods") || allowed.Load() {
				return nil
			}
			attempts.Add(1)
			return apierrors.NewForbidden(action.GetResource().GroupResource(), "", errors.New("disk full"))
		}
		c.create(aSet("web", 20))
		conditions := c.set("web").Status.Conditions
		if len(conditions) != 1 || conditions[0].Type != appsv1.ReplicaSetReplicaFailure || conditions[0].Reason != "FailedCreate" || !strings.Contains(conditions[0].Message, "disk full") {
			t.Errorf("conditions are %+v", conditions)
		}
		if events := strings.Join(c.api.Events(), "\n"); !strings.Contains(events, "Warning FailedCreate Error creating: ") {
			t.Errorf("events are %s", events)
		}
		// One in each round: the first of a slow start stands for all.
		if n := attempts.Load(); n > 10 {
			t.Errorf("%d attempts in 200 ms", n)
		}
		allowed.Store(true)
		time.Sleep(time.Minute)
		c.settle()
		c.wantPods(20)
		if conditions := c.set("web").Status.Conditions; len(conditions) != 0 {
			t.Errorf("conditions are %+v, want none", conditions)
		}
	})
}

func TestTerminatingNamespaceIsNoFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := start(t)
		c.api.Intercept = func(action clienttesting.Action) error {
			if !action.Matches("create", "pods") {
				return nil
			}
			err := apierrors.NewForbidden(action.GetResource().GroupResource(), "", errors.New("namespace is being terminated"))
			err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
			return err
		}
		c.create(aSet("web", 3))
		c.wantPods(0)
		if s := c.set("web").Status; len(s.Conditions) != 0 || s.ObservedGeneration != 1 {
			t.Errorf("status is %+v", s)
		}
		if events := c.api.Events(); len(events) != 0 {
			t.Errorf("events are %v", events)
		}
	})
}
