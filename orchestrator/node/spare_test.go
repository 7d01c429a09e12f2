package node

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/runtime/container"
	"skiff/runtime/fake"
)

// The next attempt's container is made while the engine does not say yet how the
// last one ended. Whatever comes between, one runs in the end, and nothing else is
// left.
func TestNextContainerIsMadeAhead(t *testing.T) {
	for name, test := range map[string]struct {
		meanwhile func(w *world, ended, spare string)
		made      int // containers, in all
		image     string
	}{
		"nothing comes between": {func(*world, string, string) {}, 2, "web:1"},
		"the ended one is started by hand": {func(w *world, ended, _ string) {
			w.engine.Delay("Inspect", 0)
			if err := w.engine.Engine.Start(context.Background(), ended); err != nil {
				w.t.Fatal(err)
			}
		}, 2, "web:1"},
		"it is removed": {func(w *world, _, spare string) { w.engine.Vanish(spare) }, 3, "web:1"},
		"the Pod gets another image": {func(w *world, _, _ string) {
			pod := w.pod("a")
			pod.Spec.Containers[0].Image, pod.ResourceVersion = "web:2", "1000"
			if _, err := w.client.CoreV1().Pods("default").Update(context.Background(), pod, metav1.UpdateOptions{}); err != nil {
				w.t.Fatal(err)
			}
		}, 3, "web:2"},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, w *world) {
				ended, spare := w.endSlowly()
				test.meanwhile(w, ended, spare)
				w.until(10*time.Second, "one container serves", func() bool {
					web := w.running()
					return len(web) == 1 && web[0].Image == test.image && ready(w.pod("a")) && w.pod("a").Status.ContainerStatuses[0].ContainerID == web[0].ID
				})
				if n := w.journal.count("create web"); n != test.made {
					t.Errorf("%d containers were made, want %d", n, test.made)
				}
				w.until(time.Minute, "nothing is left over", func() bool {
					return !slices.ContainsFunc(w.containers(), func(st container.Status) bool { return st.State == container.Created })
				})
			})
		})
	}
	t.Run("the Pod is deleted", func(t *testing.T) {
		play(t, func(t *testing.T, w *world) {
			w.endSlowly()
			w.remove("a", -1)
			w.untilGone("a")
			if left := w.containers(); len(left) != 0 {
				t.Errorf("left: %v", left)
			}
		})
	})
}

// endSlowly ends the container of a new Pod, and returns when the next one is
// made and the engine has not yet said how the last one ended.
func (w *world) endSlowly() (ended, spare string) {
	w.t.Helper()
	w.engine.AddImage("web:2", fake.Run)
	w.create(newPodObject("a", "web:1"))
	w.untilReady("a")
	w.engine.Delay("Inspect", time.Second)
	ended = w.named("web").ID
	w.engine.Exit(ended, 1)
	w.until(500*time.Millisecond, "the next container is made", func() bool { return w.named("web").Attempt == 1 })
	synctest.Wait()
	if made := w.named("web"); made.State != container.Created {
		w.t.Fatalf("before the engine has said how the last one ended, the next is %s", made.State)
	}
	return ended, w.named("web").ID
}

func (w *world) running() []container.Status {
	return slices.DeleteFunc(w.containers(), func(st container.Status) bool { return st.State != container.Running })
}

// Nothing is made ahead where nobody knows that it will be of use at once.
func TestNothingIsMadeAheadInVain(t *testing.T) {
	t.Parallel()
	fell := set(func(_ *state, u *unit) { u.suspect, u.down = true, true })
	for name, test := range map[string]struct {
		views []view
		ahead bool
	}{
		"at the first end":              {nil, true},
		"in back-off":                   {[]view{set(func(_ *state, u *unit) { u.crash = backoff{backoffFirst, noon.Add(-time.Minute)} })}, false},
		"after a long life":             {[]view{set(func(_ *state, u *unit) { u.crash = backoff{backoffFirst, noon.Add(-time.Hour)} })}, true},
		"where the exit code decides":   {[]view{set(func(s *state, _ *unit) { s.pod.Spec.RestartPolicy = corev1.RestartPolicyOnFailure })}, false},
		"where something else happened": {[]view{set(func(_ *state, u *unit) { u.down = false })}, false},
		"in a network that stands":      {[]view{sandboxed(container.Running)}, false},
		"when it is made":               {[]view{set(func(s *state, u *unit) { u.spare = attemptOf(1, container.Created); u.spare.Hash = hash(s.spec("web")) })}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := decide(stateOf(append([]view{running, withImage, fell}, test.views...)...), noon).begin
			if slices.Contains(got, job{opSpare, "web"}) != test.ahead {
				t.Errorf("begins %v", got)
			}
		})
	}
}
