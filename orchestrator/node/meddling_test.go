package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/runtime/container"
	"skiff/runtime/fake"
)

// An init container was started again by somebody, could not be ended at first, and is
// now to run again, for there is a new sandbox.
func TestRevivedInitContainerRunsAgain(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.create(newPodObject("a", "web:1", withInits("one=web:1")))
		w.until(time.Second, "init", func() bool { return w.named("one") != nil })
		one := w.named("one").ID
		w.engine.Exit(one, 0)
		w.untilReady("a")
		w.engine.Fail("Stop", errors.New("no"))
		w.startedByOthers(one)
		time.Sleep(50 * time.Millisecond)
		w.engine.Exit(w.named("web").ID, 137)
		w.engine.Exit(w.named("POD").ID, 137)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if w.named("one").Attempt == 0 {
			t.Errorf("no new attempt; the first is %s", w.named("one").State)
		}
	})
}

// What was started again in a Pod that is over is ended by one call.
func TestEndedAgainOnce(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.engine.AddImage("done", endsWith(0))
		w.create(newPodObject("a", "done", func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyNever }))
		w.until(time.Minute, "over", func() bool { return w.pod("a").Status.Phase == corev1.PodSucceeded })
		time.Sleep(time.Second)
		w.startedByOthers(w.named("web").ID)
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := w.journal.count("stop"); n != 1 {
			t.Errorf("%d stops", n)
		}
	})
}

// The same, and the Pod is deleted before the sandbox has begun.
func TestSandboxThatIsNotNeededGoes(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.restarted(newPodObject("a", "web:1"))
		w.engine.Delay("Start", 5*time.Second)
		id := w.named("web").ID
		w.engine.Exit(id, 3)
		time.Sleep(100 * time.Millisecond)
		w.engine.Delay("Start", 0)
		w.startedByOthers(id)
		w.remove("a", 1)
		w.untilGone("a")
		time.Sleep(time.Minute)
		if left := w.containers(); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
}

// An init container was pruned, and then all are to be restarted.
func TestPrunedInitContainerRunsInTheNextRound(t *testing.T) {
	playRounds(t, func(t *testing.T, w *world) {
		w.create(gang("a"))
		w.untilLives("a", firstRound)
		w.engine.Prune()
		time.Sleep(time.Second)
		w.exit("watch", again)
		w.untilLives("a", secondRound)
	})
}

// A prune takes nothing back of what the API says of an init container.
func TestPrunedInitContainerStaysReady(t *testing.T) {
	playInits(t, func(t *testing.T, w *world) {
		w.create(newPodObject("a", "web:1", withInits("one=done")))
		w.untilReady("a")
		w.engine.Prune()
		time.Sleep(time.Minute)
		synctest.Wait()
		if cs := w.pod("a").Status.InitContainerStatuses[0]; !cs.Ready {
			t.Errorf("init container is not ready any more: %+v", cs.State)
		}
	})
}

// A Pod is deleted at once while a container ends slowly that was started again.
func TestGracePeriodIsCutForAll(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.engine.AddImage("deaf", func(container.Spec) fake.Behaviour { return fake.Behaviour{Deaf: true} })
		long := int64(600)
		first := w.restarted(newPodObject("a", "deaf", withInits("+beside=web:1"), func(p *corev1.Pod) { p.Spec.TerminationGracePeriodSeconds = &long }))
		w.startedByOthers(first)
		time.Sleep(time.Second)
		w.remove("a", 1)
		took := w.until(20*time.Minute, "gone", func() bool { return w.pod("a") == nil })
		if took > 10*time.Second {
			t.Errorf("gone after %s", took)
		}
	})
}

// The event of a container that was started again is lost.
func TestRestartedUnseen(t *testing.T) {
	for name, pod := range map[string]func(*corev1.Pod){"own network": func(*corev1.Pod) {}, "sandbox": withInits("+beside=web:1")} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, w *world) {
				w.create(newPodObject("a", "web:1", pod))
				w.untilReady("a")
				first := w.named("web").ID
				w.engine.Delay("Create", 500*time.Millisecond)
				w.engine.Exit(first, 3)
				time.Sleep(100 * time.Millisecond)
				w.engine.Unseen(func() { w.startedByOthers(first) })
				w.engine.LoseEvents()
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				w.onlyOneRuns("a")
				if !ready(w.pod("a")) {
					t.Errorf("%s: never ready", w.lives("a"))
				}
			})
		})
	}
}

// What is in the way of the first attempt cannot be removed at once: it is used, and not
// removed later.
func TestWhatIsInTheWayIsUsed(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.engine.Delay("Start", time.Second)
		w.create(newPodObject("a", "web:1"))
		w.until(time.Second, "the first container", func() bool { return w.named("web") != nil })
		w.end()
		w.engine.Fail("Remove", errors.New("busy"))
		w.begin()
		time.Sleep(time.Minute)
		synctest.Wait()
		if cs := w.pod("a").Status.ContainerStatuses[0]; !ready(w.pod("a")) || cs.RestartCount != 0 {
			t.Errorf("%+v", cs)
		}
		if strings.Contains(strings.Join(w.events(), "\n"), "Failed") {
			t.Error(w.events())
		}
	})
}

// A container that is the Pod's again, since the next could not start, keeps its file for
// last words.
func TestLastWordsOfWhatIsThePodsAgain(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.create(newPodObject("a", "web:1"))
		w.untilReady("a")
		first := w.named("web").ID
		w.engine.Delay("Start", 300*time.Millisecond)
		w.engine.Fail("Start", errors.New("address already in use"))
		w.engine.Exit(first, 3)
		time.Sleep(150 * time.Millisecond)
		w.engine.Delay("Start", 0)
		w.startedByOthers(first)
		time.Sleep(5 * time.Second)
		w.untilReady("a")
		w.onlyOneRuns("a")
		path := filepath.Join(w.dir, "pods", "uid-a", "containers", "web", "0")
		if err := os.WriteFile(path, []byte("bye"), 0o666); err != nil {
			t.Fatal(err)
		}
		w.engine.Delay("Inspect", 100*time.Millisecond)
		w.engine.Exit(first, 5)
		w.until(20*time.Second, "next", func() bool { return w.pod("a").Status.ContainerStatuses[0].RestartCount == 2 })
		if last := w.pod("a").Status.ContainerStatuses[0].LastTerminationState.Terminated; last == nil || last.Message != "bye" {
			t.Errorf("last: %+v", last)
		}
	})
}

// The container is started again after a look has found that it has ended, before
// that is known.
func TestRestartedBehindALook(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.restarted(newPodObject("a", "web:1")) // the next attempt will have a sandbox
		id := w.named("web").ID
		w.engine.seen = func() {
			w.startedByOthers(id)
			time.Sleep(time.Millisecond) // in virtual time: the event has been dealt with
		}
		w.engine.Exit(id, 3)
		time.Sleep(time.Minute)
		w.untilReady("a")
		w.onlyOneRuns("a")
		if w.named("web").ID != id {
			t.Errorf("%+v runs", w.named("web"))
		}
	})
}

// The container is started again by somebody at any time after its end, and the worker
// is killed at any time after that.
func TestRestartedAtAnyTime(t *testing.T) {
	for name, pod := range map[string]func(*corev1.Pod){"own network": func(*corev1.Pod) {}, "sandbox": withInits("+beside=web:1")} {
		for exits := 1; exits <= 2; exits++ {
			for after := time.Duration(0); after <= 900; after += 150 {
				for _, killed := range []time.Duration{-1, 60} {
					t.Run(fmt.Sprintf("%s, %d exits, %d ms, killed %d", name, exits, after, killed), func(t *testing.T) {
						play(t, func(t *testing.T, w *world) {
							w.create(newPodObject("a", "web:1", pod))
							w.untilReady("a")
							for _, call := range []string{"Create", "Start", "Inspect", "Stop", "Remove"} {
								w.engine.Delay(call, 100*time.Millisecond)
							}
							for n := 1; n < exits; n++ {
								w.engine.Exit(w.named("web").ID, 3)
								w.until(time.Minute, "the next attempt", func() bool { return w.named("web").Attempt == n && ready(w.pod("a")) })
							}
							ended := w.named("web").ID
							w.engine.Exit(ended, 3)
							time.Sleep(after * time.Millisecond)
							_ = w.engine.Engine.Start(t.Context(), ended) // or not, where the sandbox has its address
							if killed >= 0 {
								time.Sleep(killed * time.Millisecond)
								w.end()
								w.begin()
							}
							time.Sleep(time.Minute)
							w.untilReady("a")
							w.onlyOneRuns("a")
							w.remove("a", 1)
							w.untilGone("a")
							w.untilNothingIsLeft()
						})
					})
				}
			}
		}
	}
}
