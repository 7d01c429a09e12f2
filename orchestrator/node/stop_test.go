package node

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/runtime/container"
	"skiff/runtime/fake"
)

func TestDeletesAPodInOrder(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.create(newPodObject("a", "web:1", withEmptyDir, withPreStop("bye")))
		w.untilReady("a")
		if list, err := w.engine.Volumes(t.Context()); err != nil || len(list) != 1 || list[0].Name != "uid-a-data" {
			t.Errorf("volumes are %v, %v", list, err)
		}
		w.traffic.cargo = 3 * time.Second
		w.remove("a", -1)
		time.Sleep(2900 * time.Millisecond)
		if w.journal.count("stop") != 0 {
			t.Error("stopped although requests were in flight")
		}
		w.untilGone("a")
		w.before("drain a returned", "exec bye")
		w.before("exec bye", "stop 27s")
		w.before("stop", "remove")
		w.before("remove", "delete object, grace 0")
		w.untilEvent("Killing: Stopping container web")
		if list, err := w.engine.Volumes(t.Context()); err != nil || len(list) != 0 {
			t.Errorf("volumes left: %v, %v", list, err)
		}
		if n := len(w.containers()); n != 0 {
			t.Errorf("%d containers are left", n)
		}
	})
}

func TestGraceIsBoundedAndCanBeCut(t *testing.T) {
	deaf := func(container.Spec) fake.Behaviour { return fake.Behaviour{Deaf: true} }
	tests := map[string]struct {
		cargo time.Duration
		again int64 // grace of a second delete, after 5 s; negative: none
		gone  time.Duration
	}{
		"deaf container gets the grace":            {again: -1, gone: 30 * time.Second},
		"drain takes all and two seconds are left": {cargo: time.Hour, again: -1, gone: 32 * time.Second},
		"second delete cuts the stop":              {again: 1, gone: 7 * time.Second},
		"second delete cuts the drain":             {cargo: time.Hour, again: 1, gone: 8 * time.Second},
		"second delete cannot lengthen":            {again: 300, gone: 30 * time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, w *world) {
				w.engine.AddImage("deaf", deaf)
				w.create(newPodObject("a", "deaf"))
				w.untilReady("a")
				w.traffic.cargo = test.cargo
				w.remove("a", -1)
				begun := time.Now()
				if test.again >= 0 {
					time.Sleep(5 * time.Second)
					w.remove("a", test.again)
				}
				w.untilGone("a")
				if took := time.Since(begun); took < test.gone-time.Second || took > test.gone+time.Second/2 {
					t.Errorf("gone after %s, want %s", took, test.gone)
				}
			})
		})
	}
}

// TestEndIsNotInTheWayOfABeginning: what takes a Pod's place is started first.
func TestEndIsNotInTheWayOfABeginning(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.create(newPodObject("a", "web:1"))
		w.untilReady("a")
		w.engine.Delay("Start", time.Second)
		w.create(newPodObject("b", "web:1"))
		time.Sleep(500 * time.Millisecond)
		w.remove("a", -1)
		w.untilGone("a")
		drained, started, stopped := w.journal.index("drain a returned", 0), w.journal.index("started", 1), w.journal.index("stop", 0)
		if drained < 0 || started < drained || stopped < started {
			t.Error("not drained first, then started the other, then stopped")
		}
	})
}

func TestForcedDeleteKillsAtOnce(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.engine.AddImage("deaf", func(container.Spec) fake.Behaviour { return fake.Behaviour{Deaf: true} })
		w.create(newPodObject("a", "deaf"))
		w.untilReady("a")
		w.remove("a", 0)
		w.until(time.Second, "nothing is left", func() bool { return len(w.containers()) == 0 })
		w.before("traffic removed", "remove")
		if w.traffic.serves("uid-a") {
			t.Error("still in traffic")
		}
	})
}

// A finalizer keeps the object of a Pod that has no grace period, and so the end
// of its drain is waited for.
func TestForcedDeleteOfAHeldPodEndsItsContainers(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		pod := newPodObject("a", "web:1")
		pod.Finalizers = []string{"example.com/hold"}
		w.create(pod)
		w.untilReady("a")
		w.traffic.late = 100 * time.Millisecond
		w.remove("a", 0)
		w.until(5*time.Second, "nothing is left", func() bool { return len(w.containers()) == 0 })
	})
}

func TestForcedDeleteDuringGrace(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.engine.AddImage("deaf", func(container.Spec) fake.Behaviour { return fake.Behaviour{Deaf: true} })
		w.create(newPodObject("a", "deaf"))
		w.untilReady("a")
		w.remove("a", -1)
		time.Sleep(time.Second)
		w.remove("a", 0)
		w.until(time.Second, "nothing is left", func() bool { return len(w.containers()) == 0 })
	})
}

func TestDeletedWhileStarting(t *testing.T) {
	for _, slow := range []string{"Image", "Create", "Start"} {
		t.Run(slow, func(t *testing.T) {
			play(t, func(t *testing.T, w *world) {
				w.engine.Delay(slow, 10*time.Second)
				w.create(newPodObject("a", "web:1"))
				time.Sleep(time.Second)
				w.remove("a", -1)
				begun := time.Now()
				w.untilGone("a")
				if took := time.Since(begun); took > time.Second {
					t.Errorf("took %s", took)
				}
				if n := len(w.containers()); n != 0 {
					t.Errorf("%d containers are left", n)
				}
			})
		})
	}
}

// The engine finishes a creation although nobody waits for it any more, and may
// do so after it was asked what it has of the Pod, while the rest of it goes.
func TestCreationComesThroughWhileThePodGoes(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.engine.Delay("Create", 10*time.Second)
		pod := newPodObject("a", "web:1")
		pod.Finalizers = []string{"example.com/slow"} // so that it goes slowly
		w.create(pod)
		time.Sleep(time.Second)
		w.remove("a", -1)
		time.Sleep(time.Second)
		w.engine.Delay("Create", 0)
		if _, err := w.engine.Engine.Create(t.Context(), container.Spec{Pod: identity(pod), Name: "web", ImageID: "web:1"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if err := w.client.Tracker().Delete(pods, pod.Namespace, pod.Name); err != nil {
			t.Fatal(err)
		}
		w.until(time.Second, "nothing is left", func() bool { return len(w.containers()) == 0 })
	})
}

func TestFinalizersSeeTheEnd(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.create(newPodObject("a", "web:1", func(p *corev1.Pod) { p.Finalizers = []string{"example.com/wait"} }))
		w.untilReady("a")
		w.remove("a", -1)
		w.until(time.Minute, "the end is reported", func() bool {
			st := w.pod("a").Status
			return st.Phase == corev1.PodSucceeded && st.ContainerStatuses[0].State.Terminated != nil
		})
		w.until(time.Second, "nothing is left", func() bool { return len(w.containers()) == 0 })
		pod := w.pod("a")
		pod.Finalizers = nil
		if err := w.client.Tracker().Delete(pods, "default", "a"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
	})
}

func TestAddressesComeBack(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		for i := range 8 { // more than the range has
			name := "a" + strconv.Itoa(i)
			w.create(newPodObject(name, "web:1"))
			w.untilReady(name)
			w.remove(name, -1)
			w.untilGone(name)
		}
	})
}
