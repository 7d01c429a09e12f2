package node

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/runtime/container"
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
					if last := w.pod("a").Status.ContainerStatuses[0].LastTerminationState.Terminated; w.named("web").ID != first && (last == nil || last.ExitCode != 3) {
						t.Errorf("the last state is %+v, want exit code 3", last)
					}
				})
			})
		}
	}
}

// The same while no worker runs.
func TestAdoptsOneOfTwoAttempts(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.create(newPodObject("a", "web:1", withInits("+beside=web:1")))
		w.untilReady("a")
		first := w.named("web").ID
		w.engine.Exit(first, 3)
		w.until(time.Second, "the next attempt", func() bool { return w.named("web").Attempt == 1 && ready(w.pod("a")) })
		w.end()
		w.startedByOthers(first)
		w.begin()
		time.Sleep(time.Second)
		w.untilReady("a")
		w.onlyOneRuns("a")
		cs := w.pod("a").Status.ContainerStatuses[0]
		if last := cs.LastTerminationState.Terminated; cs.RestartCount != 1 || last == nil || last.ExitCode != 3 {
			t.Errorf("restarted %d times, last state %+v, want once, after exit code 3", cs.RestartCount, last)
		}
	})
}

// What was started again has the Pod's address, and its successor could not be
// started for that: it is the Pod's again.
func TestSuccessorThatNeverRan(t *testing.T) {
	for reason, current := range map[string]string{reasonStartError: "first", "Error": "second"} {
		p := &pod{s: newState(newPodObject("a", "web:1"))}
		u := p.s.units[0]
		u.last = &attempt{Status: container.Status{ID: "first", State: container.Exited}}
		u.cur = &attempt{Status: container.Status{ID: "second", Attempt: 1, State: container.Exited}, Reason: reason}
		p.happened(container.Event{ContainerID: "first", Name: "web", Action: "start"})
		if u.cur.ID != current || u.suspect != (current == "first") || len(p.s.old) != 1 || p.s.old[0] == current {
			t.Errorf("the second ended with %s: now the %s is the Pod's (to be looked at: %t), and %v goes", reason, u.cur.ID, u.suspect, p.s.old)
		}
	}
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
