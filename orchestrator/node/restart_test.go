package node

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/runtime/container"
	"skiff/runtime/fake"
)

func TestCrashLoop(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.engine.AddImage("crash", func(container.Spec) fake.Behaviour {
			return fake.Behaviour{ExitAfter: time.Second, ExitCode: 3}
		})
		w.create(newPodObject("a", "crash"))
		begun := time.Now()
		// The first restart is immediate, then come 10, 20, 40 s, each after
		// the second that the container runs.
		for i, at := range []time.Duration{0, 1, 12, 33, 74} {
			w.until(time.Minute, "one more attempt", func() bool { return w.journal.count("create web") == i+1 })
			if d := time.Since(begun) - at*time.Second; d < 0 || d > 500*time.Millisecond {
				t.Errorf("attempt %d was made after %s, want %ds", i, time.Since(begun), at)
			}
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		cs := w.pod("a").Status.ContainerStatuses[0]
		if cs.State.Waiting == nil || cs.State.Waiting.Reason != "CrashLoopBackOff" ||
			cs.State.Waiting.Message != "back-off 1m20s restarting failed container=web pod=a_default(uid-a)" {
			t.Errorf("state is %+v", cs.State.Waiting)
		}
		if last := cs.LastTerminationState.Terminated; last == nil || last.ExitCode != 3 || last.Reason != "Error" {
			t.Errorf("last state is %+v", last)
		}
		if cs.RestartCount != 4 {
			t.Errorf("restart count is %d", cs.RestartCount)
		}
		w.untilEvent("BackOff: Back-off restarting failed container web in pod a_default(uid-a)")
		if n := len(w.containers()); n != 3 {
			t.Errorf("%d containers are kept, want the newest, the one before and the sandbox", n)
		}
	})
}

func TestRestartPolicies(t *testing.T) {
	tests := map[string]struct {
		policy corev1.RestartPolicy
		code   int
		phase  corev1.PodPhase
		made   int
	}{
		"never, failed":        {corev1.RestartPolicyNever, 1, corev1.PodFailed, 1},
		"never, succeeded":     {corev1.RestartPolicyNever, 0, corev1.PodSucceeded, 1},
		"on failure, failed":   {corev1.RestartPolicyOnFailure, 1, corev1.PodRunning, 2},
		"on failure, finished": {corev1.RestartPolicyOnFailure, 0, corev1.PodSucceeded, 1},
		"always, finished":     {corev1.RestartPolicyAlways, 0, corev1.PodRunning, 2},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, w *world) {
				w.engine.AddImage("job", func(container.Spec) fake.Behaviour {
					return fake.Behaviour{ExitAfter: time.Second, ExitCode: test.code}
				})
				w.create(newPodObject("a", "job", func(p *corev1.Pod) { p.Spec.RestartPolicy = test.policy }))
				time.Sleep(5 * time.Second)
				synctest.Wait()
				if n := w.journal.count("create web"); n != test.made {
					t.Errorf("%d attempts, want %d", n, test.made)
				}
				if phase := w.pod("a").Status.Phase; phase != test.phase {
					t.Errorf("phase is %s, want %s", phase, test.phase)
				}
				if w.traffic.serves("uid-a") {
					t.Error("a container that has ended gets traffic")
				}
			})
		})
	}
}

func TestRemovedBehindOurBack(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.create(newPodObject("a", "web:1"))
		w.untilReady("a")
		ip := w.pod("a").Status.PodIP
		for attempt := 1; attempt <= 3; attempt++ {
			before := w.containers()
			for _, c := range before {
				w.engine.Vanish(c.ID)
			}
			took := w.until(time.Second, "a new container runs", func() bool {
				list := w.containers()
				return len(list) == 1 && list[0].State == container.Running && list[0].Attempt == attempt && list[0].Address.String() == ip
			})
			if took > 100*time.Millisecond {
				t.Errorf("replaced after %s", took)
			}
			w.untilReady("a")
		}
		if n := w.pod("a").Status.ContainerStatuses[0].RestartCount; n != 3 {
			t.Errorf("restart count is %d", n)
		}
		if w.journal.count("traffic removed") != 3 {
			t.Error("the dead container stayed in traffic")
		}
	})
}

// A prune takes the last attempt of a Pod that waits for its next one, which comes
// in its time.
func TestPrunedBehindOurBack(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.crashes("crash")
		w.create(newPodObject("a", "crash"))
		w.until(time.Minute, "back-off", func() bool {
			web, sandbox := w.named("web"), w.named("POD")
			return web != nil && web.State == container.Exited && sandbox != nil && sandbox.State == container.Running
		})
		w.engine.Prune()
		w.until(time.Minute, "the next attempt", func() bool {
			web := w.named("web")
			return web != nil && web.Attempt == 2 && web.State == container.Running
		})
		if n := w.journal.count("create POD"); n != 1 {
			t.Errorf("%d sandboxes were made, want the one that ran on", n)
		}
	})
}

// A container that loses its network gets no traffic until it has it back. It
// keeps running.
func TestDisconnectedBehindOurBack(t *testing.T) {
	for name, change := range map[string]func(*corev1.Pod){"own network": func(*corev1.Pod) {}, "sandbox": withInits("+beside=web:1")} {
		for _, lost := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, event lost %t", name, lost), func(t *testing.T) {
				play(t, func(t *testing.T, w *world) {
					w.create(newPodObject("a", "web:1", change))
					w.untilReady("a")
					w.engine.Delay("Reconnect", time.Second)
					for _, c := range w.containers() {
						if c.Address.IsValid() {
							w.engine.Unplug(c.ID)
						}
					}
					if lost {
						w.engine.LoseEvents()
					}
					w.until(time.Second, "out of traffic", func() bool { return !w.traffic.serves("uid-a") && !ready(w.pod("a")) })
					w.untilReady("a")
					if n := w.journal.count("create web"); n != 1 || !w.traffic.serves("uid-a") {
						t.Errorf("made %d times, serves %t", n, w.traffic.serves("uid-a"))
					}
					w.untilEvent("NetworkNotReady: ")
				})
			})
		}
	}
}

// Somebody who pauses a container wants it so: it stays, and gets no traffic.
func TestPausedBehindOurBack(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.create(newPodObject("a", "web:1"))
		w.untilReady("a")
		id := w.containers()[0].ID
		w.engine.Pause(id)
		w.until(time.Second, "out of traffic", func() bool { return !w.traffic.serves("uid-a") && !ready(w.pod("a")) })
		w.engine.Unpause(id)
		w.untilReady("a")
		if n := w.journal.count("create web"); n != 1 {
			t.Errorf("made %d times", n)
		}
	})
}

func TestLostEventsAreMadeUpFor(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.create(newPodObject("a", "web:1"))
		w.untilReady("a")
		w.engine.Exit(w.containers()[0].ID, 1)
		w.engine.LoseEvents()
		w.until(time.Second, "restarted", func() bool { return w.journal.count("create web") == 2 })
		w.untilReady("a")
	})
}

func TestEngineOutOfOrder(t *testing.T) {
	boom := errors.New("no answer")
	for _, call := range []string{"Create", "Start", "Inspect", "Stop", "Remove", "Image"} {
		t.Run(call, func(t *testing.T) {
			play(t, func(t *testing.T, w *world) {
				w.engine.Fail(call, boom, boom, boom)
				w.create(newPodObject("a", "web:1"))
				w.until(time.Minute, "ready", func() bool { return ready(w.pod("a")) })
				w.engine.Fail(call, boom, boom)
				w.engine.Exit(w.containers()[0].ID, 1)
				w.until(time.Minute, "ready again", func() bool {
					p := w.pod("a")
					return ready(p) && p.Status.ContainerStatuses[0].RestartCount > 0
				})
				w.engine.Fail(call, boom, boom)
				w.remove("a", -1)
				w.untilGone("a")
				if n := len(w.containers()); n != 0 {
					t.Errorf("%d containers are left", n)
				}
			})
		})
	}
}

func TestProgramThatCannotBeRun(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.engine.AddImage("bad", func(container.Spec) fake.Behaviour {
			return fake.Behaviour{StartError: `exec: "nothing": executable file not found`}
		})
		w.create(newPodObject("a", "bad"))
		time.Sleep(5 * time.Second)
		synctest.Wait()
		cs := w.pod("a").Status.ContainerStatuses[0]
		if cs.State.Waiting == nil || cs.State.Waiting.Reason != "CrashLoopBackOff" {
			t.Errorf("state is %+v", cs.State)
		}
		if last := cs.LastTerminationState.Terminated; last == nil || last.Reason != "StartError" || last.ExitCode != 128 {
			t.Errorf("last state is %+v", last)
		}
		if n := w.journal.count("create web"); n != 2 {
			t.Errorf("%d attempts", n)
		}
		w.untilEvent(`Failed: Error: start container: exec: "nothing"`)
		w.remove("a", -1)
		w.untilGone("a")
	})
}

func TestImageChangeRestartsTheContainer(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.engine.AddImage("web:2", fake.Run)
		w.create(newPodObject("a", "web:1"))
		w.untilReady("a")
		pod := w.pod("a")
		pod.Spec.Containers[0].Image = "web:2"
		if _, err := w.client.CoreV1().Pods("default").Update(context.Background(), pod, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		w.until(10*time.Second, "the new image runs", func() bool {
			p := w.pod("a")
			return ready(p) && p.Status.ContainerStatuses[0].Image == "web:2"
		})
		w.untilEvent("Killing: Container web definition changed, will be restarted")
		w.before("traffic removed", "stop")
	})
}
