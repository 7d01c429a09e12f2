package node

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/runtime/container"
	"skiff/runtime/fake"
)

// withInits puts init containers of images "done" (works for a second),
// "failing" (likewise, and fails) or "web:1" before a Pod's container. A "+"
// before the name makes a sidecar.
func withInits(inits ...string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		for _, text := range inits {
			name, image, _ := strings.Cut(text, "=")
			c := corev1.Container{Image: image, ImagePullPolicy: corev1.PullIfNotPresent}
			if beside, ok := strings.CutPrefix(name, "+"); ok {
				always := corev1.ContainerRestartPolicyAlways
				name, c.RestartPolicy = beside, &always
			}
			c.Name = name
			p.Spec.InitContainers = append(p.Spec.InitContainers, c)
		}
	}
}

func playInits(t *testing.T, scenario func(t *testing.T, w *world)) {
	play(t, func(t *testing.T, w *world) {
		w.engine.AddImage("done", func(container.Spec) fake.Behaviour { return fake.Behaviour{ExitAfter: time.Second} })
		w.engine.AddImage("failing", func(container.Spec) fake.Behaviour {
			return fake.Behaviour{ExitAfter: time.Second, ExitCode: 1}
		})
		scenario(t, w)
	})
}

// initStates says how far each init container is.
func (w *world) initStates(name string) string {
	var out []string
	for _, cs := range w.pod(name).Status.InitContainerStatuses {
		out = append(out, fmt.Sprintf("%s %s ready=%t", cs.Name, describe(cs.State), cs.Ready))
	}
	return strings.Join(out, ", ")
}

func (w *world) initialized(name string) string {
	c := condition(w.pod(name).Status.Conditions, corev1.PodInitialized)
	return strings.TrimSpace(fmt.Sprintf("%s %s %s", c.Status, c.Reason, c.Message))
}

func TestInitContainersInTurn(t *testing.T) {
	playInits(t, func(t *testing.T, w *world) {
		w.create(newPodObject("a", "web:1", withInits("one=done", "two=done")))
		time.Sleep(500 * time.Millisecond)
		synctest.Wait()
		check := func(what, got, want string) {
			t.Helper()
			if got != want {
				t.Errorf("%s: got %q, want %q", what, got, want)
			}
		}
		check("the first at work", w.initStates("a"), "one running ready=false, two waiting PodInitializing ready=false")
		check("condition", w.initialized("a"), "False ContainersNotInitialized containers with incomplete status: [one two]")
		st := w.pod("a").Status
		check("phase", string(st.Phase), "Pending")
		check("the regular one waits", describe(st.ContainerStatuses[0].State), "waiting PodInitializing")
		check("its readiness", condition(st.Conditions, corev1.PodReady).Message, "containers with unready status: [web]")
		time.Sleep(time.Second)
		synctest.Wait()
		check("the second at work", w.initStates("a"), "one terminated Completed ready=true, two running ready=false")
		check("condition", w.initialized("a"), "False ContainersNotInitialized containers with incomplete status: [two]")
		w.untilReady("a")
		check("all done", w.initStates("a"), "one terminated Completed ready=true, two terminated Completed ready=true")
		check("condition", w.initialized("a"), "True")
		w.before("create POD", "create one")
		w.before("create one", "create two")
		w.before("create two", "create web")
		w.remove("a", -1)
		w.untilGone("a")
		if n := len(w.containers()); n != 0 {
			t.Errorf("%d containers are left", n)
		}
	})
}

func TestFailingInitContainer(t *testing.T) {
	tests := map[string]struct {
		policy corev1.RestartPolicy
		made   int
		state  string
		phase  corev1.PodPhase
	}{
		"always": {corev1.RestartPolicyAlways, 3,
			"one waiting CrashLoopBackOff back-off 20s restarting failed container=one pod=a_default(uid-a) ready=false", corev1.PodPending},
		"on failure": {corev1.RestartPolicyOnFailure, 3,
			"one waiting CrashLoopBackOff back-off 20s restarting failed container=one pod=a_default(uid-a) ready=false", corev1.PodPending},
		"never": {corev1.RestartPolicyNever, 1, "one terminated Error ready=false", corev1.PodFailed},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			playInits(t, func(t *testing.T, w *world) {
				w.create(newPodObject("a", "web:1", withInits("one=failing"), func(p *corev1.Pod) { p.Spec.RestartPolicy = test.policy }))
				time.Sleep(15 * time.Second)
				synctest.Wait()
				if n := w.journal.count("create one"); n != test.made {
					t.Errorf("%d attempts, want %d", n, test.made)
				}
				if got := w.initStates("a"); got != test.state {
					t.Errorf("state is %q, want %q", got, test.state)
				}
				if phase := w.pod("a").Status.Phase; phase != test.phase {
					t.Errorf("phase is %s, want %s", phase, test.phase)
				}
				if w.journal.count("create web") != 0 {
					t.Error("the regular container was made")
				}
				w.remove("a", -1)
				w.untilGone("a")
			})
		})
	}
}

// A worker that ends between any two steps must neither let an init container
// run again that has done its work, nor leave one out.
func TestInitContainersSurviveTheWorker(t *testing.T) {
	for _, after := range []time.Duration{0, 300, 999, 1000, 1001, 1500, 2000, 2001, 2500} {
		for _, prune := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d ms, pruned %t", after, prune), func(t *testing.T) {
				playInits(t, func(t *testing.T, w *world) {
					w.create(newPodObject("a", "web:1", withInits("one=done", "two=done")))
					time.Sleep(after * time.Millisecond)
					synctest.Wait()
					w.end()
					for _, c := range w.containers() {
						if prune && c.State == container.Exited {
							w.engine.Vanish(c.ID)
						}
					}
					time.Sleep(200 * time.Millisecond)
					w.begin()
					w.untilReady("a")
					for _, line := range []string{"create POD", "create one", "create two", "create web"} {
						if n := w.journal.count(line); n != 1 {
							t.Errorf("%s: %d times", line, n)
						}
					}
					w.before("create one", "create two")
					w.before("create two", "create web")
				})
			})
		}
	}
}

func TestNewSandboxRunsTheInitContainersAgain(t *testing.T) {
	playInits(t, func(t *testing.T, w *world) {
		w.create(newPodObject("a", "web:1", withInits("one=done", "+beside=web:1")))
		w.untilReady("a")
		for _, c := range w.containers() {
			if c.Name == "one" { // a prune takes nothing back
				w.engine.Vanish(c.ID)
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := w.journal.count("create one"); n != 1 {
			t.Fatalf("a pruned init container ran %d times", n)
		}
		for _, c := range w.containers() {
			if c.Name == container.SandboxName {
				w.engine.Exit(c.ID, 137)
			}
		}
		w.until(time.Minute, "all anew", func() bool { return w.journal.count("create web") == 2 && ready(w.pod("a")) })
		for _, line := range []string{"create POD", "create one", "create beside"} {
			if n := w.journal.count(line); n != 2 {
				t.Errorf("%s: %d times", line, n)
			}
		}
		if again, web := w.journal.index("create one", 1), w.journal.index("create web", 1); again > web {
			t.Error("the regular container did not wait for the init container")
		}
	})
}

func TestSidecars(t *testing.T) {
	playInits(t, func(t *testing.T, w *world) {
		passes := w.checked("slow", false)
		w.create(newPodObject("a", "web:1", withInits("+first=slow", "one=done", "+second=web:1"), func(p *corev1.Pod) {
			p.Spec.InitContainers[0].StartupProbe = execProbe(1, 100)
		}))
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if got := w.initStates("a"); !strings.HasPrefix(got, "first running ready=false, one waiting PodInitializing") {
			t.Errorf("the startup probe holds nothing back: %s", got)
		}
		passes.Store(true)
		w.untilReady("a")
		for i, line := range []string{"create first", "create one", "create second"} {
			w.before(line, []string{"create one", "create second", "create web"}[i])
		}
		// One that ends is started again, and the Pod is not ready meanwhile.
		w.kill("second")
		w.until(time.Minute, "restarted", func() bool { return w.journal.count("create second") == 2 && ready(w.pod("a")) })
		if w.journal.count("write unready") == 0 || w.journal.count("create web") != 1 {
			t.Error("a dead sidecar did not make the Pod unready, or restarted the others")
		}
		w.journal.lines = nil
		w.remove("a", -1)
		w.untilGone("a")
		if got, want := w.ends(), []string{"web", "second", "first"}; !slices.Equal(got, want) {
			t.Errorf("ended in the order %v, want %v", got, want)
		}
	})
}

// The preStop hooks of sidecars begin with the end of the Pod: only their SIGTERM
// waits until those have ended that they serve, and what the grace period has left
// is theirs.
func TestSidecarHooksWaitForNobody(t *testing.T) {
	tests := map[string]struct {
		takes time.Duration // the others, to end; they end by themselves where it is zero
		hook  time.Duration
		cut   bool // to three seconds, after two
		ends  []string
		lasts time.Duration
		fails bool // the hooks
	}{
		"done before their turn": {takes: 28 * time.Second, hook: 20 * time.Second,
			ends: []string{"stop 30s", "ended web", "stop 2s", "ended second", "stop 2s", "ended first"}, lasts: 28 * time.Second},
		"longer than the others": {takes: 5 * time.Second, hook: 20 * time.Second,
			ends: []string{"stop 30s", "ended web", "stop 10s", "ended second", "stop 10s", "ended first"}, lasts: 20 * time.Second},
		"longer than the grace period": {takes: 5 * time.Second, hook: time.Hour, fails: true,
			ends: []string{"stop 30s", "ended web", "stop 2s", "ended second", "stop 2s", "ended first"}, lasts: 30 * time.Second},
		"the grace period is cut": {takes: time.Second, hook: time.Hour, cut: true, fails: true,
			ends: []string{"stop 30s", "ended web", "stop 3s", "ended second", "stop 3s", "ended first"}, lasts: 2 * time.Second},
		"the work is over": {hook: 20 * time.Second,
			ends: []string{"stop 10s", "ended second", "stop 10s", "ended first", "stop 0s", "ended POD"}, lasts: 20 * time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			playInits(t, func(t *testing.T, w *world) {
				w.engine.AddImage("slow", func(container.Spec) fake.Behaviour { return fake.Behaviour{StopAfter: test.takes} })
				w.engine.AddImage("beside", func(container.Spec) fake.Behaviour {
					return fake.Behaviour{Exec: func(ctx context.Context, _ []string) ([]byte, int, error) {
						pause(ctx, test.hook)
						return nil, 0, ctx.Err()
					}}
				})
				pod := newPodObject("a", "slow", withInits("+first=beside", "+second=beside"))
				for i, c := range pod.Spec.InitContainers {
					pod.Spec.InitContainers[i].Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{c.Name}}}}
				}
				if test.takes == 0 {
					pod.Spec.RestartPolicy, pod.Spec.Containers[0].Image = corev1.RestartPolicyNever, "done"
				}
				w.create(pod)
				w.untilReady("a")
				if test.takes > 0 {
					time.Sleep(lullPatience) // so that the stop waits for no lull
					w.remove("a", -1)
				}
				hooks := func() bool { return w.journal.count("exec first") == 1 && w.journal.count("exec second") == 1 }
				if w.until(time.Second, "both hooks run", hooks); w.journal.count("ended") > 0 {
					t.Error("the hooks have waited")
				}
				begun := time.Now()
				if test.cut {
					time.Sleep(2 * time.Second)
					w.remove("a", 3)
				}
				w.until(time.Minute, "all have ended", func() bool { return w.journal.count("ended") == 3 })
				if took := time.Since(begun); took.Round(time.Second) != test.lasts {
					t.Errorf("took %s, want %s", took, test.lasts)
				}
				ends := slices.DeleteFunc(strings.Split(w.journal.String(), "\n"), func(line string) bool {
					return !strings.HasPrefix(line, "stop ") && !strings.HasPrefix(line, "ended ")
				})
				if !slices.Equal(ends, test.ends) {
					t.Errorf("they ended like this: %q, want %q", ends, test.ends)
				}
				if n := w.journal.count("exec"); n != 2 {
					t.Errorf("%d hooks have run", n)
				}
				if failed := strings.Contains(strings.Join(w.events(), "\n"), reasonPreStopFailed); failed != test.fails {
					t.Errorf("hooks have failed: %t", failed)
				}
			})
		})
	}
}

func TestSidecarsDoNotKeepAPod(t *testing.T) {
	playInits(t, func(t *testing.T, w *world) {
		w.create(newPodObject("a", "done", withInits("+first=web:1", "+second=web:1"), func(p *corev1.Pod) {
			p.Spec.RestartPolicy = corev1.RestartPolicyNever
		}))
		w.until(time.Minute, "succeeded", func() bool { return w.pod("a").Status.Phase == corev1.PodSucceeded })
		for _, c := range w.containers() {
			if c.State == container.Running {
				t.Errorf("%s runs on", c.Name)
			}
		}
		if got, want := w.ends(), []string{"second", "first", "POD"}; !slices.Equal(got, want) {
			t.Errorf("ended in the order %v, want %v", got, want)
		}
		w.end()
		w.begin()
		time.Sleep(time.Minute)
		synctest.Wait()
		if phase := w.pod("a").Status.Phase; phase != corev1.PodSucceeded || w.journal.count("create") != 4 {
			t.Errorf("after a restart of the worker: phase %s\n%s", phase, w.journal)
		}
	})
}

func TestActiveDeadline(t *testing.T) {
	playInits(t, func(t *testing.T, w *world) {
		limit := int64(60)
		w.create(newPodObject("a", "web:1", withInits("+beside=web:1"), func(p *corev1.Pod) { p.Spec.ActiveDeadlineSeconds = &limit }))
		w.untilReady("a")
		time.Sleep(30 * time.Second)
		w.end()
		w.begin()
		w.until(time.Minute, "failed", func() bool { return w.pod("a").Status.Phase == corev1.PodFailed })
		st := w.pod("a").Status
		if st.Reason != "DeadlineExceeded" || st.Message != "Pod was active on the node longer than the specified deadline" {
			t.Errorf("status is %s %s", st.Reason, st.Message)
		}
		if age := time.Since(st.StartTime.Time); age < 60*time.Second || age > 62*time.Second {
			t.Errorf("failed after %s", age)
		}
		w.untilEvent("DeadlineExceeded: Pod was active on the node longer than the specified deadline")
		w.end()
		w.begin()
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := w.journal.count("create web"); n != 1 || w.pod("a").Status.Phase != corev1.PodFailed {
			t.Errorf("the failed Pod was started again: %d attempts", n)
		}
	})
}

// kill ends a running container as a crash does.
func (w *world) kill(name string) {
	w.t.Helper()
	for _, c := range w.containers() {
		if c.Name == name && c.State == container.Running {
			w.engine.Exit(c.ID, 1)
		}
	}
}

// ends lists the containers that were asked to end, in order.
func (w *world) ends() []string {
	var out []string
	for _, line := range strings.Split(w.journal.String(), "\n") {
		if name, ok := strings.CutPrefix(line, "ended "); ok {
			out = append(out, name)
		}
	}
	return out
}
