package node

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/runtime/container"
	"skiff/runtime/fake"
)

// A container that has ended is started again by somebody else ("docker
// restart"), before, while or after its next attempt begins. One of the two runs
// in the end, and the Pod serves.
func TestRestartedBehindOurBack(t *testing.T) {
	const begins = 500 * time.Millisecond // what an attempt takes to be made
	for name, pod := range map[string]func(*corev1.Pod){"own network": func(*corev1.Pod) {}, "sandbox": withInits("+beside=web:1")} {
		for when, after := range map[string]time.Duration{"before": 0, "while": begins / 2, "after": 3 * begins} {
			if name == "own network" && when == "after" {
				continue // its address is taken
			}
			t.Run(name+", "+when, func(t *testing.T) {
				play(t, func(t *testing.T, w *world) {
					w.create(newPodObject("a", "web:1", pod))
					w.untilReady("a")
					first := w.named("web").ID
					w.engine.Delay("Create", begins)
					w.engine.Exit(first, 3)
					time.Sleep(after)
					w.startedByOthers(first)
					time.Sleep(5 * time.Second)
					w.untilReady("a")
					w.onlyOneRuns("a")
					if last := w.pod("a").Status.ContainerStatuses[0].LastTerminationState.Terminated; w.named("web").ID != first {
						if last == nil || last.ExitCode != 3 || last.ContainerID != first {
							t.Errorf("the last state is %+v, want exit code 3", last)
						}
						if _, err := w.engine.Engine.Inspect(t.Context(), first); err != nil {
							t.Errorf("nobody can read what it has logged: %v", err)
						}
					}
				})
			})
		}
	}
}

// The same while no worker runs.
func TestAdoptsOneOfTwoAttempts(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		first := w.restarted(newPodObject("a", "web:1", withInits("+beside=web:1")))
		w.end()
		w.startedByOthers(first)
		w.begin()
		time.Sleep(time.Second)
		w.untilReady("a")
		w.onlyOneRuns("a")
		cs := w.pod("a").Status.ContainerStatuses[0]
		if last := cs.LastTerminationState.Terminated; cs.RestartCount != 1 || last == nil || last.ExitCode != 3 || last.ContainerID != first {
			t.Errorf("restarted %d times, last state %+v, want once, after exit code 3", cs.RestartCount, last)
		}
	})
}

// What was started again has the port that its successor needs, which then ends.
// The next attempt is made when the port is free, and needs no back-off.
func TestSuccessorThatIsDisturbed(t *testing.T) {
	for when, after := range map[string]time.Duration{"while the first runs": 0, "when it has ended": 3 * time.Second} {
		t.Run(when, func(t *testing.T) {
			play(t, func(t *testing.T, w *world) {
				w.engine.AddImage("slow", func(container.Spec) fake.Behaviour { return fake.Behaviour{StopAfter: 2 * time.Second} })
				first := w.restarted(newPodObject("a", "slow", withInits("+beside=web:1")))
				w.startedByOthers(first)
				time.Sleep(after)
				w.engine.Exit(w.named("web").ID, 1)
				w.until(max(0, 2*time.Second-after)+100*time.Millisecond, "the last attempt", func() bool {
					return w.named("web").Attempt == 2 && ready(w.pod("a"))
				})
				w.onlyOneRuns("a")
				w.before("ended web", "create web 2")
				if n := w.journal.count("create web"); n != 3 {
					t.Errorf("%d attempts, want three", n)
				}
				w.engine.Exit(w.named("web").ID, 1) // by itself
				w.until(time.Second, "back-off", func() bool { return w.pod("a").Status.ContainerStatuses[0].State.Waiting != nil })
			})
		})
	}
}

// What was started again has the Pod's address, and its successors could not be
// started for that: it is the Pod's again.
func TestSuccessorThatNeverRan(t *testing.T) {
	ended := func(id string, number int, reason string) *attempt {
		return &attempt{Status: container.Status{ID: id, Attempt: number, State: container.Exited}, Reason: reason}
	}
	started := func(p *pod, id string) {
		p.happened(container.Event{ContainerID: id, Name: "web", Action: "start"})
	}
	for name, test := range map[string]struct {
		last, current *attempt
		happens       func(p *pod, u *unit)
		now           string
		old           int
	}{
		"the next has failed": {
			ended("first", 0, ""), ended("second", 1, reasonStartError),
			func(p *pod, _ *unit) { started(p, "first") }, "first", 1,
		},
		"the next has run": {
			ended("first", 0, ""), ended("second", 1, ""),
			func(p *pod, _ *unit) { started(p, "first") }, "second", 0,
		},
		"the next fails": {
			nil, ended("first", 0, ""),
			func(p *pod, u *unit) {
				started(p, "first")
				p.started(u, ended("second", 1, reasonStartError))
			}, "first", 1,
		},
		"two fail": {
			ended("first", 0, ""), ended("second", 1, reasonStartError),
			func(p *pod, u *unit) {
				p.s.job(job{opStart, "web"}).busy = true
				started(p, "first")
				p.started(u, ended("third", 2, reasonStartError))
			}, "first", 2,
		},
	} {
		p := &pod{s: newState(newPodObject("a", "web:1"))}
		u := p.s.units[0]
		u.last, u.cur = test.last, test.current
		test.happens(p, u)
		if u.cur.ID != test.now || u.suspect != (test.now == "first") || len(p.s.old) != test.old {
			t.Errorf("%s: now the %s is the Pod's (to be looked at: %t), and %d go", name, u.cur.ID, u.suspect, len(p.s.old))
		}
	}
}

// A container whose work is done, or was not to be done again, is started by
// somebody else: it ends again, and the Pod stays what it was.
func TestNothingIsRevived(t *testing.T) {
	never := func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyNever }
	for name, test := range map[string]struct {
		change    func(*corev1.Pod)
		container string
		steady    func(*corev1.Pod) bool
	}{
		"a Pod that has succeeded": {func(p *corev1.Pod) {
			never(p)
			p.Spec.Containers[0].Image = "done"
		}, "web", func(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodSucceeded }},
		"a Pod that has failed": {func(p *corev1.Pod) {
			never(p)
			p.Spec.Containers[0].Image = "failing"
		}, "web", func(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodFailed }},
		"one of two containers": {func(p *corev1.Pod) {
			never(p)
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "done", Image: "done", ImagePullPolicy: corev1.PullIfNotPresent})
		}, "done", func(p *corev1.Pod) bool {
			return len(p.Status.ContainerStatuses) == 2 && p.Status.ContainerStatuses[1].State.Terminated != nil && p.Status.Phase == corev1.PodRunning
		}},
		"an init container": {withInits("first=done"), "first", ready},
	} {
		for when, act := range map[string]func(w *world, id string){
			"at once": (*world).startedByOthers,
			"while no worker runs": func(w *world, id string) {
				w.end()
				w.startedByOthers(id)
				w.begin()
			},
			"and ends while no worker runs": func(w *world, id string) {
				w.end()
				w.startedByOthers(id)
				w.engine.Exit(id, 7)
				w.begin()
			},
			"and ends by itself": func(w *world, id string) {
				w.engine.Delay("Stop", time.Second)
				w.startedByOthers(id)
				w.engine.Unplug(id)
				w.engine.Exit(id, 7)
			},
			"and is paused": func(w *world, id string) {
				w.startedByOthers(id)
				w.engine.Pause(id)
			},
		} {
			t.Run(name+", "+when, func(t *testing.T) {
				play(t, func(t *testing.T, w *world) {
					w.engine.AddImage("done", endsWith(0))
					w.engine.AddImage("failing", endsWith(1))
					w.create(newPodObject("a", "web:1", test.change))
					w.until(time.Minute, "the Pod is there", func() bool { return test.steady(w.pod("a")) })
					time.Sleep(time.Second)
					id, before := w.named(test.container).ID, w.pod("a").Status
					w.journal.lines = nil
					act(w, id)
					w.until(time.Minute, "it has ended again", func() bool { return w.named(test.container).State == container.Exited })
					time.Sleep(time.Minute)
					synctest.Wait()
					if now := w.pod("a").Status; now.String() != before.String() || w.journal.count("write") > 0 {
						t.Errorf("the Pod is told of as\n%+v\nbefore it was\n%+v\n%s", now, before, w.journal)
					}
					if n := w.journal.count("create"); n > 0 {
						t.Errorf("%d containers were made", n)
					}
				})
			})
		}
	}
}

// endsWith is a program that ends soon, and in another way if it is asked to.
func endsWith(code int) fake.Program {
	return func(container.Spec) fake.Behaviour {
		return fake.Behaviour{ExitAfter: time.Second, ExitCode: code, StopCode: 143}
	}
}

// A container that was about to start when the last worker was killed is not taken
// for the next attempt while it is removed.
func TestStartsInTheLastMoment(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.engine.Delay("Start", time.Second)
		w.create(newPodObject("a", "web:1"))
		w.until(time.Second, "the first container", func() bool { return w.named("web") != nil })
		w.end()
		id := w.named("web").ID
		w.engine.Delay("Start", 0)
		w.engine.Delay("Remove", 50*time.Millisecond)
		w.begin()
		w.startedByOthers(id)
		w.untilReady("a")
		time.Sleep(time.Second)
		w.untilReady("a")
		w.onlyOneRuns("a")
		if cs := w.pod("a").Status.ContainerStatuses[0]; cs.RestartCount != 0 || cs.LastTerminationState.Terminated != nil {
			t.Errorf("restarted %d times, last state %+v", cs.RestartCount, cs.LastTerminationState.Terminated)
		}
	})
}

// restarted makes the Pod "a", whose container web ends once: the second attempt
// runs. It gives the first one's ID.
func (w *world) restarted(pod *corev1.Pod) (first string) {
	w.t.Helper()
	w.create(pod)
	w.untilReady("a")
	first = w.named("web").ID
	w.engine.Exit(first, 3)
	w.until(time.Second, "the next attempt", func() bool { return w.named("web").Attempt == 1 && ready(w.pod("a")) })
	return first
}

func (w *world) startedByOthers(id string) {
	w.t.Helper()
	if err := w.engine.Engine.Start(context.Background(), id); err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
}

// onlyOneRuns checks that one container of the name web runs, and that it is the
// one of the Pod's status.
func (w *world) onlyOneRuns(pod string) {
	w.t.Helper()
	var running []string
	for _, c := range w.containers() {
		if c.Name == "web" && c.State == container.Running {
			running = append(running, c.ID)
		}
	}
	if told := w.pod(pod).Status.ContainerStatuses[0].ContainerID; len(running) != 1 || running[0] != told {
		w.t.Errorf("there run %v, and %s by the status", running, told)
	}
}

// A sandbox that was replaced, and somebody has started again while no worker ran,
// has the Pod's address: it goes.
func TestReplacedSandboxIsStartedAgain(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.create(newPodObject("a", "web:1", withInits("+beside=web:1")))
		w.untilReady("a")
		first := w.named(container.SandboxName).ID
		w.engine.Delay("Remove", time.Minute) // it is still there when the worker ends
		w.engine.Exit(first, 137)
		w.until(10*time.Second, "another sandbox", func() bool { return w.named(container.SandboxName).ID != first && ready(w.pod("a")) })
		w.end()
		w.engine.Delay("Remove", 0)
		w.engine.Exit(w.named(container.SandboxName).ID, 137)
		w.startedByOthers(first)
		w.begin()
		w.until(20*time.Second, "a third sandbox", func() bool { return w.named(container.SandboxName).Attempt == 2 && ready(w.pod("a")) })
		w.onlyOneRuns("a")
	})
}

// What the last attempt was told of is not changed by what somebody made of it.
func TestLastAttemptRanAgain(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		first := w.restarted(newPodObject("a", "web:1", withInits("+beside=web:1")))
		before := w.pod("a").Status.ContainerStatuses[0]
		time.Sleep(time.Minute)
		w.startedByOthers(first)
		time.Sleep(time.Minute)
		w.end()
		w.begin()
		time.Sleep(time.Minute)
		if now := w.pod("a").Status.ContainerStatuses[0]; now.String() != before.String() {
			t.Errorf("the container is told of as\n%+v\nbefore it was\n%+v", now, before)
		}
		w.onlyOneRuns("a")
	})
}

// The container of a Pod that is about to get a sandbox for its back-off is started
// by somebody else, and has the address that the sandbox would need: the Pod does
// without.
func TestRestartedWhileASandboxIsMade(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.restarted(newPodObject("a", "web:1"))
		w.engine.Delay("Create", 500*time.Millisecond)
		second := w.named("web").ID
		w.engine.Exit(second, 3)
		time.Sleep(100 * time.Millisecond)
		w.startedByOthers(second)
		time.Sleep(5 * time.Second)
		w.untilReady("a")
		w.onlyOneRuns("a")
		if w.named("web").ID != second {
			t.Error("it was restarted once more")
		}
		w.engine.Exit(second, 3)
		w.until(time.Minute, "the next attempt in a sandbox", func() bool {
			return w.named("web").Attempt == 2 && w.named("web").Sandbox != "" && ready(w.pod("a"))
		})
		w.remove("a", 0)
		w.untilGone("a")
		if left := w.containers(); len(left) != 0 {
			t.Errorf("left: %v", left)
		}
	})
}

// The network of a Pod is gone while no worker runs, and the containers that joined
// it run on without one: they are restarted, without back-off.
func TestStrandedWhileNoWorkerRuns(t *testing.T) {
	settles := func(p *corev1.Pod) { p.Spec.Containers[0].Image = "settles" } // which gets a sandbox in back-off
	for name, pod := range map[string]func(*corev1.Pod){"a sandbox from the start": withInits("+beside=web:1"), "one for the back-off": settles} {
		for what, act := range map[string]func(w *world, sandbox string){
			"removed":   func(w *world, sandbox string) { w.engine.Vanish(sandbox) },
			"ended":     func(w *world, sandbox string) { w.engine.Exit(sandbox, 137) },
			"restarted": func(w *world, sandbox string) { w.engine.Exit(sandbox, 137); w.startedByOthers(sandbox) },
		} {
			t.Run(name+" is "+what, func(t *testing.T) {
				play(t, func(t *testing.T, w *world) {
					runs := 0
					w.engine.AddImage("settles", func(container.Spec) fake.Behaviour {
						if runs++; runs <= 2 {
							return fake.Behaviour{ExitAfter: time.Second, ExitCode: 3}
						}
						return fake.Behaviour{}
					})
					w.create(newPodObject("a", "web:1", pod))
					w.until(time.Minute, "a sandbox", func() bool { return w.named("web") != nil && w.named("web").Sandbox != "" && ready(w.pod("a")) })
					w.end()
					before := w.named("web").ID
					time.Sleep(time.Minute)
					act(w, w.named(container.SandboxName).ID)
					time.Sleep(time.Minute)
					w.begin()
					w.until(5*time.Second, "another attempt", func() bool { return w.named("web").ID != before && ready(w.pod("a")) })
					w.onlyOneRuns("a")
					if joined := w.named("web").Sandbox; joined != "" && joined != w.named(container.SandboxName).ID {
						t.Errorf("it has joined %s, the sandbox is %s", joined, w.named(container.SandboxName).ID)
					}
				})
			})
		}
	}
}

// A sidecar of a Pod that is over is no more revived than other containers, and
// what became of an attempt to do so is not told.
func TestNoSidecarIsRevived(t *testing.T) {
	for name, runs := range map[string]bool{"it runs": true, "it cannot run": false} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, w *world) {
				w.engine.AddImage("done", endsWith(0))
				w.create(newPodObject("a", "done", func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyNever }, withInits("+beside=web:1")))
				w.until(time.Minute, "it has succeeded", func() bool { return w.pod("a").Status.Phase == corev1.PodSucceeded })
				time.Sleep(time.Second)
				before := w.pod("a").Status
				w.end()
				if runs {
					w.startedByOthers(w.named(container.SandboxName).ID)
					w.startedByOthers(w.named("beside").ID)
				} else if err := w.engine.Engine.Start(t.Context(), w.named("beside").ID); err == nil {
					t.Fatal("it can run without a sandbox")
				}
				w.journal.lines = nil
				w.begin()
				time.Sleep(time.Minute)
				for _, c := range w.containers() {
					if c.State == container.Running {
						t.Errorf("%s runs", c.Name)
					}
				}
				if now := w.pod("a").Status; now.String() != before.String() || w.journal.count("write") > 0 {
					t.Errorf("the Pod is told of as\n%+v\nbefore it was\n%+v\n%s", now, before, w.journal)
				}
			})
		})
	}
}

// A container that runs again by the time somebody looks has passed no probe yet.
func TestRestartThatIsSeenLate(t *testing.T) {
	for name, act := range map[string]func(w *world, id string){
		"as the engine is slow": func(w *world, id string) {
			w.engine.Delay("Inspect", time.Second)
			w.engine.Exit(id, 0)
			w.startedByOthers(id)
		},
		"as no worker ran": func(w *world, id string) {
			w.end()
			time.Sleep(2 * time.Second)
			w.engine.Exit(id, 0)
			w.startedByOthers(id)
			w.begin()
		},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, w *world) {
				healthy := w.checked("probed", true)
				w.create(newPodObject("a", "probed", func(p *corev1.Pod) { p.Spec.Containers[0].ReadinessProbe = execProbe(1, 100) }))
				w.untilReady("a")
				healthy.Store(false)
				act(w, w.named("web").ID)
				time.Sleep(5 * time.Second)
				synctest.Wait()
				if ready(w.pod("a")) || w.traffic.serves("uid-a") {
					t.Error("it is ready")
				}
				told := w.pod("a").Status.ContainerStatuses[0].State.Running
				if now := second(w.named("web").StartedAt); told == nil || !told.StartedAt.Equal(&now) {
					t.Errorf("it runs since %+v, told is %+v", now, told)
				}
				healthy.Store(true)
				w.untilReady("a")
				w.onlyOneRuns("a")
			})
		})
	}
}

// Others that end while an attempt is being started do not hide that it has ended.
func TestEndsBeforeItsStartIsReported(t *testing.T) {
	p := &pod{s: newState(newPodObject("a", "web:1"))}
	u := p.s.units[0]
	for i, id := range []string{"first", "second"} {
		u.last, u.cur = u.cur, &attempt{Status: container.Status{ID: id, Attempt: i, State: container.Exited}}
	}
	p.s.job(job{opStart, "web"}).busy = true
	for _, id := range []string{"third", "first"} {
		p.happened(container.Event{ContainerID: id, Name: "web", Action: "die"})
	}
	p.started(u, &attempt{Status: container.Status{ID: "third", Attempt: 2, State: container.Running}})
	if !u.suspect || !u.down {
		t.Error("its end was missed")
	}
}

// skiff goes down while the container that was made ahead is being started: the
// call is cut short, and the engine starts it all the same.
func TestStartsWhileSkiffGoesDown(t *testing.T) {
	for name, after := range map[string]time.Duration{"before it is looked for": 50 * time.Millisecond, "after": 150 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, w *world) {
				_, spare := w.endSlowly()
				w.engine.Delay("Start", time.Minute)
				w.engine.Delay("List", 100*time.Millisecond)
				w.engine.Delay("Remove", 200*time.Millisecond)
				w.until(2*time.Second, "the next attempt starts", func() bool { return w.engine.Calls("Start") == 2 })
				down := make(chan error, 1)
				go func() { down <- w.worker.Shutdown(t.Context()) }()
				time.Sleep(after)
				w.engine.Delay("Start", 0)
				w.startedByOthers(spare)
				if err := <-down; err != nil {
					t.Fatal(err)
				}
				if left := w.running(); len(left) > 0 {
					t.Errorf("run on: %+v", left)
				}
				if found := name != "after"; found != (w.journal.count("ended web") == 1) {
					t.Errorf("it was asked to end: %t, want %t", !found, found)
				}
				w.end()
				w.begin()
				w.untilReady("a")
				w.onlyOneRuns("a")
			})
		})
	}
}
