package node

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/runtime/container"
	"skiff/runtime/fake"
)

// steadily runs a Pod until a sandbox stands by.
func (w *world) steadily(change ...func(*corev1.Pod)) {
	w.t.Helper()
	w.create(newPodObject("a", "web:1", change...))
	w.untilReady("a")
	w.untilStandingBy()
}

func (w *world) untilStandingBy() {
	w.t.Helper()
	w.until(2*steady, "a sandbox stands by", func() bool {
		box := w.named("POD")
		return box != nil && box.State == container.Running && box.Detached
	})
}

func TestSandboxStandsBy(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.create(newPodObject("a", "web:1"))
		w.untilReady("a")
		time.Sleep(steady - time.Second)
		synctest.Wait()
		if n := len(w.containers()); n != 1 {
			t.Errorf("%d containers after less than %s", n, steady)
		}
		w.untilStandingBy()
		if w.journal.count("write unready") > 1 || !w.traffic.serves("uid-a") {
			t.Error("the sandbox is in the way of its Pod")
		}
		first, box, ip := w.named("web").ID, w.named("POD").ID, w.pod("a").Status.PodIP
		w.engine.Delay("Reconnect", time.Second)
		w.engine.Exit(first, 3)
		synctest.Wait()
		if n := w.journal.count("started"); n != 2 {
			t.Error("the next attempt did not wait for the network")
		}
		w.untilReady("a")
		web := w.named("web")
		if web.Attempt != 1 || web.Sandbox != box || w.pod("a").Status.PodIP != ip || w.named("POD").Detached {
			t.Errorf("attempt %d is in %q, want 1 in %q at %s: %+v", web.Attempt, web.Sandbox, box, ip, w.named("POD"))
		}
		if all := strings.Join(w.events(), "\n"); strings.Contains(all, reasonNetworkLost) {
			t.Errorf("events tell of a lost network: %s", all)
		}
		w.engine.Exit(web.ID, 3)
		w.until(time.Minute, "the attempt after", func() bool { return w.named("web").Attempt == 2 && ready(w.pod("a")) })
		if w.named("web").Sandbox != box || w.journal.count("create POD") != 1 {
			t.Error("the sandbox was not used again")
		}
		w.remove("a", -1)
		w.untilGone("a")
		if n := len(w.containers()); n != 0 {
			t.Errorf("%d containers are left", n)
		}
	})
}

// The next attempt's container is made while the engine takes the network down.
func TestSpareJoinsTheSandboxThatStandsBy(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.steadily()
		w.engine.Delay("Inspect", time.Second)
		w.engine.Exit(w.named("web").ID, 3)
		w.until(time.Second/2, "the next container is there", func() bool { return w.named("web").Attempt == 1 })
		id := w.named("web").ID
		w.until(5*time.Second, "ready", func() bool { return ready(w.pod("a")) })
		if web := w.named("web"); web.ID != id || web.Sandbox != w.named("POD").ID {
			t.Errorf("%+v runs, want %s in the sandbox", web, id)
		}
	})
}

// What becomes of the sandbox is nothing to the Pod that runs.
func TestStandbyThatEnds(t *testing.T) {
	for name, end := range map[string]func(w *world, id string){
		"killed":        func(w *world, id string) { w.engine.Exit(id, 137) },
		"removed":       func(w *world, id string) { w.engine.Vanish(id) },
		"killed unseen": func(w *world, id string) { w.engine.ExitUnseen(id, 137); w.engine.LoseEvents() },
		"while skiff is away": func(w *world, id string) {
			w.end()
			w.engine.Exit(id, 137)
			w.begin()
		},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, w *world) {
				w.steadily()
				web, box := w.named("web").ID, w.named("POD").ID
				end(w, box)
				time.Sleep(steady / 2)
				synctest.Wait()
				if !ready(w.pod("a")) || w.named("web").ID != web || w.named("web").State != container.Running {
					t.Error("the Pod suffers from it")
				}
				w.untilStandingBy()
				if w.named("POD").ID == box || len(w.containers()) != 2 {
					t.Errorf("not replaced: %+v", w.containers())
				}
				w.engine.Exit(web, 3)
				w.until(time.Second, "restarted", func() bool { return w.named("web").Attempt == 1 && ready(w.pod("a")) })
				if w.named("web").Sandbox != w.named("POD").ID {
					t.Error("the new one is not used")
				}
			})
		})
	}
}

func TestAdoptsStandby(t *testing.T) {
	for name, meanwhile := range map[string]func(w *world){
		"both run":       func(*world) {},
		"container ends": func(w *world) { w.engine.Exit(w.named("web").ID, 3) },
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, w *world) {
				w.steadily()
				box := w.named("POD").ID
				w.end()
				meanwhile(w)
				w.begin()
				if name == "both run" {
					if !ready(w.pod("a")) || w.named("web").Attempt != 0 || !w.named("POD").Detached {
						t.Fatalf("not adopted as it was: %+v", w.containers())
					}
					w.engine.Exit(w.named("web").ID, 3)
				}
				w.until(time.Second, "restarted", func() bool { return w.named("web").Attempt == 1 && ready(w.pod("a")) })
				if w.named("web").Sandbox != box || len(w.containers()) != 3 {
					t.Errorf("not used: %+v", w.containers())
				}
			})
		})
	}
}

// Where the sandbox cannot have the network, another one is made.
func TestStandbyThatGetsNoNetwork(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.steadily()
		box := w.named("POD").ID
		w.engine.Fail("Reconnect", errors.New("no"))
		w.engine.Exit(w.named("web").ID, 3)
		w.until(time.Second, "restarted", func() bool { return w.named("web").Attempt == 1 && ready(w.pod("a")) })
		w.until(time.Second, "cleared away", func() bool { return len(w.containers()) == 3 })
		if w.named("POD").ID == box || w.named("web").Sandbox != w.named("POD").ID {
			t.Errorf("the next attempt is in another sandbox: %+v", w.containers())
		}
	})
}

// Somebody starts the container again before the sandbox has its network, or when
// it has.
func TestRestartedWhileASandboxStandsBy(t *testing.T) {
	for name, after := range map[string]time.Duration{"at once": 0, "while it gets the network": time.Second / 2, "when it has it": 2 * time.Second} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, w *world) {
				w.steadily()
				first := w.named("web").ID
				w.engine.Delay("Reconnect", time.Second)
				w.engine.Exit(first, 3)
				time.Sleep(after)
				if err := w.engine.Engine.Start(t.Context(), first); (err != nil) != (after > time.Second) {
					t.Fatalf("started by others: %v", err)
				}
				time.Sleep(5 * time.Second)
				w.untilReady("a")
				w.onlyOneRuns("a")
				w.until(2*steady, "a sandbox is there", func() bool {
					box := w.named("POD")
					return box != nil && box.State == container.Running && (box.Detached || w.named("web").Sandbox == box.ID)
				})
				if all := strings.Join(w.events(), "\n"); strings.Contains(all, reasonNetworkLost) {
					t.Errorf("events tell of a lost network: %s", all)
				}
			})
		})
	}
}

func TestNothingStandsBy(t *testing.T) {
	for name, change := range map[string]func(w *world, p *corev1.Pod){
		"for what is not restarted": func(_ *world, p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyNever },
		"on the host's network":     func(_ *world, p *corev1.Pod) { p.Spec.HostNetwork = true },
		"where Pods are many":       func(*world, *corev1.Pod) {},
		"where it cannot": func(w *world, _ *corev1.Pod) {
			w.engine.Fail("Disconnect", errors.New("no"), errors.New("no"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, w *world) {
				pod := newPodObject("a", "web:1")
				change(w, pod)
				w.create(pod)
				if name == "where Pods are many" {
					w.worker.crowded.Store(true)
				}
				w.untilReady("a")
				time.Sleep(standbyDelay)
				synctest.Wait()
				if box := w.named("POD"); box != nil && box.State != container.Created {
					t.Errorf("there is %+v", box)
				}
				// The second attempt has a sandbox of its own, made meanwhile.
				for attempt := 1; attempt <= 2 && pod.Spec.RestartPolicy != corev1.RestartPolicyNever; attempt++ {
					w.engine.Exit(w.named("web").ID, 3)
					w.until(11*time.Second, "restarted", func() bool { return w.named("web").Attempt == attempt && ready(w.pod("a")) })
				}
				w.remove("a", -1)
				w.untilGone("a")
				if n := len(w.containers()); n != 0 {
					t.Errorf("%d containers are left", n)
				}
			})
		})
	}
}

// One whose making was cut short is used, or removed with its Pod.
func TestStandbyThatWasCutShort(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		healthy := w.checked("probed", true)
		w.create(newPodObject("a", "probed", func(p *corev1.Pod) { p.Spec.Containers[0].ReadinessProbe = execProbe(1, 1) }))
		w.untilReady("a")
		time.Sleep(steady - time.Second)
		w.engine.Delay("Start", 3*time.Second)
		w.until(2*time.Second, "the sandbox is being started", func() bool { return w.named("POD") != nil })
		healthy.Store(false)
		w.until(3*time.Second, "unready", func() bool { return !ready(w.pod("a")) })
		healthy.Store(true)
		w.untilStandingBy()
		if len(w.containers()) != 2 {
			t.Errorf("there are %+v", w.containers())
		}
		w.remove("a", -1)
		w.untilGone("a")
		if n := len(w.containers()); n != 0 {
			t.Errorf("%d containers are left", n)
		}
	})
}

// The same where the sandbox is used after all, while the next attempt has to wait.
func TestStandbyThatWasCutShortIsUsed(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.create(newPodObject("a", "web:1"))
		w.untilReady("a")
		time.Sleep(steady - time.Second)
		w.engine.Delay("Start", 3*time.Second)
		w.until(2*time.Second, "the sandbox is being started", func() bool { return w.named("POD") != nil })
		w.engine.Exit(w.named("web").ID, 3)
		synctest.Wait()
		w.engine.Delay("Start", 0)
		for attempt := 1; attempt <= 2; attempt++ {
			w.until(time.Minute, "restarted", func() bool { return w.named("web").Attempt == attempt && ready(w.pod("a")) })
			if attempt == 1 {
				w.engine.Exit(w.named("web").ID, 3)
			}
		}
		if box := w.named("POD"); box.Attempt != 0 || box.Detached || w.named("web").Sandbox != box.ID {
			t.Errorf("the attempt after the back-off is %+v in %+v", w.named("web"), box)
		}
	})
}

// A restart does not wait for an ephemeral container to leave the network that the
// container had.
func TestRestartBesideAnEphemeralContainer(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.engine.AddImage("debug", func(container.Spec) fake.Behaviour { return fake.Behaviour{Deaf: true} })
		w.steadily()
		w.debug("a", "look")
		w.engine.Exit(w.named("web").ID, 3)
		w.until(time.Second, "restarted", func() bool { return w.named("web").Attempt == 1 && ready(w.pod("a")) })
		w.inTheSandbox()
		if w.named("look").State != container.Running {
			t.Error("whoever debugged the Pod has been thrown out")
		}
	})
}

// An ephemeral container that begins in a sandbox which is given up is no reason
// not to have another one.
func TestEphemeralContainerInASandboxGivenUp(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.engine.AddImage("debug", fake.Run)
		w.steadily()
		w.engine.Delay("Reconnect", time.Second)
		w.engine.Fail("Reconnect", errors.New("no"))
		w.engine.Exit(w.named("web").ID, 3)
		time.Sleep(100 * time.Millisecond)
		p := w.pod("a")
		p.Spec.EphemeralContainers = append(p.Spec.EphemeralContainers, corev1.EphemeralContainer{
			EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "look", Image: "debug"},
		})
		if err := w.client.Tracker().Update(pods, p, p.Namespace); err != nil {
			t.Fatal(err)
		}
		w.until(2*time.Minute, "restarted", func() bool { return w.named("web").Attempt == 1 && ready(w.pod("a")) })
		w.inTheSandbox()
	})
}

// What happens to the sandbox while it gets the network.
func TestStandbyThatIsRemovedWhileItTakesOver(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.steadily()
		w.engine.Delay("Reconnect", time.Second)
		w.engine.Fail("Reconnect", errors.New("marked for removal"))
		w.engine.Exit(w.named("web").ID, 3)
		time.Sleep(time.Second / 2)
		w.engine.Delay("Inspect", 2*time.Second)
		w.engine.Vanish(w.named("POD").ID)
		time.Sleep(3 * time.Second)
		w.engine.Delay("Inspect", 0)
		w.until(10*time.Second, "restarted", func() bool { return w.named("web").Attempt == 1 && ready(w.pod("a")) })
		w.inTheSandbox()
	})
}

// One that somebody has paused is not used.
func TestStandbyThatIsPaused(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.steadily()
		box := w.named("POD").ID
		w.engine.Pause(box)
		synctest.Wait()
		for attempt := 1; attempt <= 2; attempt++ {
			w.engine.Exit(w.named("web").ID, 3)
			w.until(11*time.Second, "restarted", func() bool { return w.named("web").Attempt == attempt && ready(w.pod("a")) })
		}
		if w.inTheSandbox(); w.named("POD").ID == box {
			t.Error("the paused one is used")
		}
	})
}

// A start that was cut short has come through, and what came of it has ended.
func TestStandbyThatWasCutShortAndEnds(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		healthy := w.checked("probed", true)
		w.create(newPodObject("a", "probed", func(p *corev1.Pod) { p.Spec.Containers[0].ReadinessProbe = execProbe(1, 1) }))
		w.untilReady("a")
		time.Sleep(steady - time.Second)
		w.engine.Delay("Start", 3*time.Second)
		w.until(2*time.Second, "the sandbox is being started", func() bool { return w.named("POD") != nil })
		healthy.Store(false)
		w.until(3*time.Second, "unready", func() bool { return !ready(w.pod("a")) })
		w.engine.Delay("Start", 0)
		w.startedByOthers(w.named("POD").ID)
		w.engine.Exit(w.named("POD").ID, 137)
		for attempt := 1; attempt <= 2; attempt++ {
			healthy.Store(true)
			w.engine.Exit(w.named("web").ID, 3)
			w.until(20*time.Second, "restarted", func() bool { return w.named("web").Attempt == attempt && ready(w.pod("a")) })
		}
		w.inTheSandbox()
	})
}

// inTheSandbox fails the test unless the container runs in the Pod's sandbox, and
// that is on the network.
func (w *world) inTheSandbox() {
	w.t.Helper()
	if web, box := w.named("web"), w.named("POD"); box == nil || web.Sandbox != box.ID || box.State != container.Running || box.Detached {
		w.t.Errorf("%+v\nis to run in\n%+v", web, box)
	}
}

// A Pod with an ephemeral container is taken over by the next run.
func TestAdoptsBesideAnEphemeralContainer(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.engine.AddImage("debug", fake.Run)
		w.create(newPodObject("a", "web:1"))
		w.untilReady("a")
		w.debug("a", "one")
		w.end()
		w.begin()
		w.untilReady("a")
		w.untilStandingBy()
	})
}

// When skiff goes down nothing is left running.
func TestStandbyGoesDown(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.steadily()
		w.engine.Fail("Remove", errors.New("busy"))
		if err := w.worker.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, c := range w.containers() {
			if c.State == container.Running {
				t.Errorf("%s runs on", c.Name)
			}
		}
	})
}

// Nobody waits for the end of what stood by, and nothing of it stays.
func TestRemnantIsRemovedLater(t *testing.T) {
	for name, then := range map[string]func(w *world){
		"in a lull": func(*world) {},
		"when skiff goes down": func(w *world) {
			if err := w.worker.Shutdown(w.t.Context()); err != nil {
				w.t.Fatal(err)
			}
			if n := len(w.containers()); n != 0 {
				w.t.Errorf("%d containers are left", n)
			}
		},
		"by the next run": func(w *world) {
			w.end()
			w.begin()
			synctest.Wait()
			if n := len(w.containers()); n != 0 {
				w.t.Errorf("%d containers are left", n)
			}
		},
		"without a lull": func(w *world) {
			leave, err := w.worker.turns.take(w.t.Context(), 0)
			if err != nil {
				w.t.Fatal(err)
			}
			defer leave()
			w.until(2*remnantsPatience, "nothing is left", func() bool { return len(w.containers()) == 0 })
		},
		"when the engine can": func(w *world) { w.engine.Fail("Remove", errors.New("no")) },
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, w *world) {
				w.steadily()
				w.create(newPodObject("b", "web:1")) // so that there is no lull yet
				w.untilReady("b")
				box := w.named("POD").ID
				w.remove("a", -1)
				w.until(time.Second, "the Pod is gone", func() bool { return w.pod("a") == nil })
				if left := w.named("POD"); left == nil || left.ID != box || left.State != container.Running {
					t.Fatal("the Pod has waited for the end of what stood by")
				}
				w.remove("b", 0)
				then(w)
				w.untilNothingIsLeft()
			})
		})
	}
}
