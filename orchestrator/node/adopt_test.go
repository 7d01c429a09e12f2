package node

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/runtime/container"
	"skiff/runtime/fake"
)

func TestAdoptsWhatRuns(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.create(newPodObject("a", "web:1"))
		w.untilReady("a")
		id, ip := w.containers()[0].ID, w.pod("a").Status.PodIP
		w.end()
		if list := w.containers(); len(list) != 1 || list[0].State != container.Running {
			t.Fatalf("the end of the worker ended the containers: %+v", list)
		}
		w.traffic.in = map[types.UID]bool{} // a new process knows nothing
		w.journal.lines = nil
		w.begin()
		if !w.traffic.serves("uid-a") {
			t.Error("a Pod that is ready is not in traffic at once")
		}
		if !ready(w.pod("a")) {
			t.Error("a Pod that is ready was reported otherwise")
		}
		// Another Pod must not get its address.
		w.create(newPodObject("b", "web:1"))
		w.untilReady("b")
		if list := w.containers(); list[0].ID != id || w.pod("a").Status.PodIP != ip || w.pod("b").Status.PodIP == ip {
			t.Error("the container was not adopted as it was")
		}
		if n := w.journal.count("write unready"); n > 1 {
			t.Errorf("%d reports of unreadiness, want one, of the new Pod", n)
		}
	})
}

func TestAdoptedProbeStaysReady(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		healthy := w.checked("probed", true)
		w.create(newPodObject("a", "probed", func(p *corev1.Pod) { p.Spec.Containers[0].ReadinessProbe = execProbe(1, 2) }))
		w.untilReady("a")
		w.end()
		w.begin()
		if !ready(w.pod("a")) || !w.traffic.serves("uid-a") {
			t.Error("a ready Pod lost its traffic")
		}
		healthy.Store(false)
		w.until(5*time.Second, "the probe goes on", func() bool { return !ready(w.pod("a")) })
	})
}

func TestStartCleansUp(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.create(newPodObject("gone", "web:1", withEmptyDir))
		w.create(newPodObject("going", "web:1", withEmptyDir))
		w.create(newPodObject("dead", "web:1"))
		w.untilReady("gone")
		w.untilReady("going")
		w.untilReady("dead")
		w.end()
		// While no worker runs: one Pod vanishes, one is deleted, one loses its
		// container, and a creation of an earlier run comes through.
		if err := w.client.Tracker().Delete(pods, "default", "gone"); err != nil {
			t.Fatal(err)
		}
		w.remove("going", -1)
		for _, c := range w.containers() {
			if c.Pod.Name == "dead" {
				w.engine.Vanish(c.ID)
			}
		}
		w.engine.AddImage("other", fake.Run)
		if _, err := w.engine.Engine.Create(context.Background(), container.Spec{
			Pod: container.Pod{Namespace: "default", Name: "ghost", UID: "uid-ghost"}, Name: "web", ImageID: "other",
		}); err != nil {
			t.Fatal(err)
		}
		w.begin()
		w.untilGone("going")
		w.until(10*time.Second, "only what is owned is left", func() bool {
			list := w.containers()
			if volumes, err := w.engine.Volumes(t.Context()); err != nil || len(volumes) != 0 {
				return false
			}
			return len(list) == 1 && list[0].Pod.Name == "dead" && list[0].Attempt == 1
		})
		w.untilReady("dead")
		if cs := w.pod("dead").Status.ContainerStatuses[0]; cs.RestartCount != 1 || cs.LastTerminationState.Terminated == nil ||
			cs.LastTerminationState.Terminated.Reason != "ContainerStatusUnknown" {
			t.Errorf("the lost container is reported as %+v", cs)
		}
		for _, uid := range []string{"uid-gone", "uid-going"} {
			if _, err := os.Stat(filepath.Join(w.dir, "pods", uid)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("volumes of %s are left: %v", uid, err)
			}
		}
	})
}

func TestCreationThatComesThroughLate(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		if _, err := w.engine.Engine.Create(context.Background(), container.Spec{
			Pod: container.Pod{Namespace: "default", Name: "ghost", UID: "uid-ghost"}, Name: "web", ImageID: "web:1",
		}); err != nil {
			t.Fatal(err)
		}
		w.until(time.Second, "the orphan is removed", func() bool { return len(w.containers()) == 0 })
	})
}

// The worker may be killed at any moment: whatever calls of the engine are cut
// off then, the next one makes exactly one container out of it.
func TestKilledAtAnyMoment(t *testing.T) {
	for after := time.Duration(0); after <= 80*time.Millisecond; after += 10 * time.Millisecond {
		t.Run(after.String(), func(t *testing.T) {
			play(t, func(t *testing.T, w *world) {
				for _, call := range []string{"Image", "Create", "Start"} {
					w.engine.Delay(call, 25*time.Millisecond)
				}
				w.create(newPodObject("a", "web:1"))
				time.Sleep(after)
				w.end()
				w.begin()
				w.untilReady("a")
				time.Sleep(time.Second)
				list := w.containers()
				if len(list) != 1 || list[0].State != container.Running {
					t.Errorf("containers are %+v", list)
				}
			})
		})
	}
}

func TestConflictIsAdopted(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		// An answer of the engine is lost: the container exists, the caller
		// does not know.
		pod := newPodObject("a", "web:1")
		lost := container.Spec{Pod: identity(pod), Name: "web", Hash: hash(&pod.Spec.Containers[0]), ImageID: "web:1"}
		w.engine.Fail("Create", errors.New("connection reset"))
		w.create(pod)
		if _, err := w.engine.Engine.Create(context.Background(), lost); err != nil {
			t.Fatal(err)
		}
		w.untilReady("a")
		if n := len(w.containers()); n != 1 {
			t.Errorf("%d containers", n)
		}
	})
}

func TestShutdownAndStartAgain(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.create(newPodObject("a", "web:1", withPreStop("bye"), withEmptyDir))
		w.untilReady("a")
		ip := w.pod("a").Status.PodIP
		w.engine.Fill("uid-a-data", 1)
		w.traffic.cargo = time.Second
		if err := w.worker.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
		w.before("drain a returned", "exec bye")
		w.before("exec bye", "stop")
		for _, c := range w.containers() {
			if c.State == container.Running {
				t.Error("a container runs on")
			}
		}
		if p := w.pod("a"); p == nil || ready(p) || p.Status.ContainerStatuses[0].State.Terminated == nil {
			t.Errorf("the Pod is reported as %+v", p)
		}
		w.create(newPodObject("late", "web:1"))
		if w.journal.count("create web") != 1 {
			t.Error("a Pod was started after the shutdown")
		}
		w.end()
		w.begin()
		w.untilReady("a")
		w.untilReady("late")
		p := w.pod("a")
		if p.Status.PodIP != ip || p.Status.ContainerStatuses[0].RestartCount != 1 {
			t.Errorf("the Pod came back as %+v", p.Status)
		}
		if used, err := w.engine.VolumeUsage(t.Context(), "uid-a-data"); err != nil || used != 1 {
			t.Errorf("the volume was lost: %d, %v", used, err)
		}
	})
}

// The finalizer may be its controller's, which needs the API that goes down, too.
func TestShutdownLeavesAHeldPod(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.steadily(func(p *corev1.Pod) { p.Finalizers = []string{"example.com/hold"} })
		w.remove("a", -1)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := w.worker.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if n := len(w.containers()); n != 0 {
			t.Errorf("%d containers are left", n)
		}
		if w.pod("a") == nil {
			t.Error("the object is gone")
		}
	})
}

func TestShutdownHonoursItsContext(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.engine.AddImage("deaf", func(container.Spec) fake.Behaviour { return fake.Behaviour{Deaf: true} })
		w.create(newPodObject("a", "deaf"))
		w.untilReady("a")
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := w.worker.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("answer is %v", err)
		}
	})
}

func TestReplacedPodOfTheSameName(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.create(newPodObject("a", "web:1"))
		w.untilReady("a")
		w.remove("a", 0)
		w.create(newPodObject("a", "web:1", func(p *corev1.Pod) { p.UID = "uid-second" }))
		w.untilReady("a")
		w.until(time.Second, "the first one is gone", func() bool {
			list := w.containers()
			return len(list) == 1 && list[0].Pod.UID == "uid-second"
		})
	})
}

func TestOtherNodesPodsAreLeftAlone(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.create(newPodObject("a", "web:1", func(p *corev1.Pod) { p.Spec.NodeName = "elsewhere" }))
		time.Sleep(time.Second)
		synctest.Wait()
		if len(w.containers()) != 0 {
			t.Error("it was started")
		}
	})
}

func TestListFailsAtFirst(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.create(newPodObject("a", "web:1"))
		w.untilReady("a")
		w.end()
		w.engine.Fail("List", errors.New("no answer"), errors.New("no answer"))
		w.begin()
		time.Sleep(time.Second)
		synctest.Wait()
		if !w.traffic.serves("uid-a") || w.journal.count("create web") != 1 {
			t.Error("the Pod was not adopted")
		}
	})
}
