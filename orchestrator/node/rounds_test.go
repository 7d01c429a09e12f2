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

// again is the exit code that restarts all containers in these tests.
const again = 42

// restartAll gives a container a rule that restarts all when it ends with one of
// these codes, and a policy that does not restart it otherwise.
func restartAll(c *corev1.Container, operator corev1.ContainerRestartRuleOnExitCodesOperator, codes ...int32) {
	if c.RestartPolicy == nil {
		never := corev1.ContainerRestartPolicyNever
		c.RestartPolicy = &never
	}
	c.RestartPolicyRules = []corev1.ContainerRestartRule{{
		Action:    corev1.ContainerRestartRuleActionRestartAllContainers,
		ExitCodes: &corev1.ContainerRestartRuleOnExitCodes{Operator: operator, Values: codes},
	}}
}

// gang is a Pod that runs its containers once: an init container, a sidecar, one
// with a preStop hook, one that soon is done, and a watcher that restarts all.
func gang(name string) *corev1.Pod {
	return newPodObject(name, "web:1", withInits("one=done", "+beside=deaf"), withPreStop("say", "goodbye"), func(p *corev1.Pod) {
		p.Spec.RestartPolicy = corev1.RestartPolicyNever
		for _, c := range []string{"work=done", "watch=web:1"} {
			name, image, _ := strings.Cut(c, "=")
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: name, Image: image, ImagePullPolicy: corev1.PullIfNotPresent})
		}
		restartAll(&p.Spec.Containers[2], corev1.ContainerRestartRuleOnExitCodesOpIn, again)
	})
}

func playRounds(t *testing.T, scenario func(t *testing.T, w *world)) {
	playInits(t, func(t *testing.T, w *world) {
		w.engine.AddImage("deaf", func(container.Spec) fake.Behaviour { return fake.Behaviour{Deaf: true} })
		scenario(t, w)
	})
}

// exit has a running container end by itself.
func (w *world) exit(name string, code int) {
	w.t.Helper()
	i := slices.IndexFunc(w.containers(), func(c container.Status) bool { return c.Name == name && c.State == container.Running })
	if i < 0 {
		w.t.Fatalf("container %s does not run", name)
	}
	w.engine.Exit(w.containers()[i].ID, code)
	synctest.Wait()
}

// lives says of each container how often it was restarted and what it is.
func (w *world) lives(pod string) string {
	var out []string
	st := w.pod(pod).Status
	for _, cs := range slices.Concat(st.InitContainerStatuses, st.ContainerStatuses) {
		what, _, _ := strings.Cut(describe(cs.State), " ")
		if cs.State.Waiting != nil {
			what = cs.State.Waiting.Reason
		}
		out = append(out, fmt.Sprintf("%s %d %s", cs.Name, cs.RestartCount, what))
	}
	return strings.Join(out, ", ")
}

func (w *world) untilLives(pod, want string) {
	w.t.Helper()
	for range 2000 {
		synctest.Wait()
		if w.lives(pod) == want {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.t.Fatalf("containers are\n%s, want\n%s", w.lives(pod), want)
}

func (w *world) restarting(pod string) string {
	c := condition(w.pod(pod).Status.Conditions, corev1.AllContainersRestarting)
	if c == nil {
		return "none"
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s %s", c.Status, c.Reason, c.Message))
}

const (
	firstRound  = "one 0 terminated, beside 0 running, web 0 running, work 0 terminated, watch 0 running"
	secondRound = "one 1 terminated, beside 1 running, web 1 running, work 1 terminated, watch 1 running"
)

func TestRestartsAllContainers(t *testing.T) {
	playRounds(t, func(t *testing.T, w *world) {
		check := func(what, got, want string) {
			t.Helper()
			if got != want {
				t.Errorf("%s is %q, want %q", what, got, want)
			}
		}
		w.create(gang("a"))
		w.untilLives("a", firstRound)
		before := w.pod("a")
		check("the condition", w.restarting("a"), "False")
		w.journal.lines = nil

		w.exit("watch", again)
		check("the condition", w.restarting("a"), "True RestartAllContainersStarted container exited with restart policy rule")
		check("the phase", string(w.pod("a").Status.Phase), "Running")
		time.Sleep(time.Second) // web has ended, beside hears nothing
		synctest.Wait()
		const waits = "RestartingAllContainers"
		check("what waits", w.lives("a"), "one 0 "+waits+", beside 0 running, web 0 "+waits+", work 0 "+waits+", watch 0 "+waits)
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		check("the condition", w.restarting("a"), "False")
		const begins = "PodInitializing"
		check("what begins", w.lives("a"), "one 1 running, beside 0 "+begins+", web 0 "+begins+", work 0 "+begins+", watch 0 "+begins)
		check("the phase", string(w.pod("a").Status.Phase), "Pending")
		w.untilLives("a", secondRound)

		after := w.pod("a")
		check("its address", after.Status.PodIP, before.Status.PodIP)
		if n := w.journal.count("create POD"); n != 0 || w.journal.count("exec say goodbye") != 0 {
			t.Errorf("%d new sandboxes, or a preStop hook has run\n%s", n, w.journal)
		}
		if n := w.journal.count("stop 2s"); n != 2 {
			t.Errorf("%d were stopped with the least grace, want web and beside\n%s", n, w.journal)
		}
		w.before("create one 1", "create beside 1")
		w.before("create beside 1", "create web 1")
		ended := func(name string) string {
			for _, cs := range slices.Concat(after.Status.InitContainerStatuses, after.Status.ContainerStatuses) {
				if e := cs.LastTerminationState.Terminated; cs.Name == name && e != nil {
					return fmt.Sprintf("%d %s", e.ExitCode, e.Reason)
				}
			}
			return "unknown"
		}
		check("the end of watch", ended("watch"), "42 Error")
		check("the end of web", ended("web"), "0 RestartingAllContainers")
		check("the end of beside", ended("beside"), "137 RestartingAllContainers")
		check("the end of work", ended("work"), "0 Completed")
		w.untilEvent("Killing: Container web will be restarted with all others")

		// Nothing is waited for before the next rounds, either.
		for round := 2; round < 5; round++ {
			w.exit("watch", again)
			took := w.until(10*time.Second, "the next round", func() bool {
				return w.lives("a") == strings.ReplaceAll(secondRound, "1", fmt.Sprint(round))
			})
			if took > 6*time.Second {
				t.Errorf("round %d took %s", round, took)
			}
		}
		for _, e := range w.events() {
			if strings.HasPrefix(e, "BackOff") {
				t.Error(e)
			}
		}
		w.exit("watch", 1) // no rule for that
		time.Sleep(time.Minute)
		synctest.Wait()
		check("after an end without a rule", w.lives("a"), "one 4 terminated, beside 4 running, web 4 running, work 4 terminated, watch 4 terminated")
		w.remove("a", -1)
		w.untilGone("a")
		if w.journal.count("exec say goodbye") != 1 || len(w.containers()) != 0 {
			t.Errorf("the Pod did not end in good order\n%s", w.journal)
		}
	})
}

// A worker that ends at any point of a restart leaves it to the next to finish it:
// each container is restarted, and once.
func TestRestartOfAllSurvivesTheWorker(t *testing.T) {
	for after := time.Duration(0); after < 5000; after += 220 {
		for _, prune := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d ms, pruned %t", after, prune), func(t *testing.T) {
				playRounds(t, func(t *testing.T, w *world) {
					w.create(gang("a"))
					w.untilLives("a", firstRound)
					for _, call := range []string{"Create", "Start", "Stop"} {
						w.engine.Delay(call, 100*time.Millisecond)
					}
					w.exit("watch", again)
					time.Sleep(after * time.Millisecond)
					synctest.Wait()
					w.end()
					if prune {
						w.engine.Prune()
					}
					w.begin()
					w.untilLives("a", secondRound)
					time.Sleep(time.Minute)
					synctest.Wait()
					if got := w.lives("a"); got != secondRound || w.restarting("a") != "False" {
						t.Errorf("containers are\n%s, want\n%s; restarting %s", got, secondRound, w.restarting("a"))
					}
					w.remove("a", -1)
					w.untilGone("a")
				})
			})
		}
	}
}

// An init container can restart all, too, itself among them; a failure without a
// rule is one afterwards as it was before.
func TestInitContainerRestartsAll(t *testing.T) {
	for code, want := range map[int]string{0: "first 1 terminated, second 1 terminated, web 0 running", 1: "first 1 terminated, second 1 terminated, web 0 PodInitializing"} {
		t.Run(fmt.Sprintf("then %d", code), func(t *testing.T) {
			playRounds(t, func(t *testing.T, w *world) {
				w.engine.AddImage("fickle", func(spec container.Spec) fake.Behaviour {
					return fake.Behaviour{ExitAfter: time.Second, ExitCode: []int{again, code}[spec.Attempt]}
				})
				w.create(newPodObject("a", "web:1", withInits("first=done", "second=fickle"), func(p *corev1.Pod) {
					p.Spec.RestartPolicy = corev1.RestartPolicyNever
					restartAll(&p.Spec.InitContainers[1], corev1.ContainerRestartRuleOnExitCodesOpIn, again)
				}))
				w.untilLives("a", want)
				if failed := w.pod("a").Status.Phase == corev1.PodFailed; failed != (code != 0) {
					t.Errorf("phase is %s", w.pod("a").Status.Phase)
				}
			})
		})
	}
}

// What ends because all are restarted, or because the Pod's work is done, does not
// restart them again, whatever its rules say.
func TestEndsThatRestartNothing(t *testing.T) {
	playRounds(t, func(t *testing.T, w *world) {
		w.engine.AddImage("spiteful", func(container.Spec) fake.Behaviour { return fake.Behaviour{StopCode: again} })
		w.create(newPodObject("both", "spiteful", func(p *corev1.Pod) {
			c := p.Spec.Containers[0]
			c.Name = "other"
			p.Spec.Containers = append(p.Spec.Containers, c)
			for i := range p.Spec.Containers {
				restartAll(&p.Spec.Containers[i], corev1.ContainerRestartRuleOnExitCodesOpNotIn, 0)
			}
		}))
		w.untilLives("both", "web 0 running, other 0 running")
		w.exit("web", 7)
		w.untilLives("both", "web 1 running, other 1 running")

		w.create(newPodObject("over", "done", withInits("+beside=spiteful"), func(p *corev1.Pod) {
			p.Spec.RestartPolicy = corev1.RestartPolicyNever
			restartAll(&p.Spec.InitContainers[0], corev1.ContainerRestartRuleOnExitCodesOpIn, again)
		}))
		w.until(time.Minute, "succeeded", func() bool { return w.pod("over").Status.Phase == corev1.PodSucceeded })
		w.end()
		w.begin()
		time.Sleep(time.Minute)
		synctest.Wait()
		if got, want := w.lives("over"), "beside 0 terminated, web 0 terminated"; got != want || w.restarting("over") != "False PodCompleted" {
			t.Errorf("containers are %s, want %s; restarting %s", got, want, w.restarting("over"))
		}
		if got, want := w.lives("both"), "web 1 running, other 1 running"; got != want {
			t.Errorf("containers are %s, want %s", got, want)
		}
	})
}

// A Pod with one container has it restarted at once, in whatever network it has; a
// Pod that is deleted meanwhile goes.
func TestRestartOfAllInSmallPods(t *testing.T) {
	playRounds(t, func(t *testing.T, w *world) {
		w.create(newPodObject("a", "web:1", func(p *corev1.Pod) {
			restartAll(&p.Spec.Containers[0], corev1.ContainerRestartRuleOnExitCodesOpIn, again)
		}))
		w.untilReady("a")
		ip := w.pod("a").Status.PodIP
		for round := 1; round < 4; round++ {
			w.exit("web", again)
			w.until(time.Second, "restarted", func() bool { return w.lives("a") == fmt.Sprintf("web %d running", round) && ready(w.pod("a")) })
		}
		if w.pod("a").Status.PodIP != ip || w.journal.count("create POD") != 0 {
			t.Errorf("it has another network\n%s", w.journal)
		}
		w.create(gang("b"))
		w.untilLives("b", firstRound)
		w.exit("watch", again)
		time.Sleep(time.Second)
		w.remove("b", -1)
		w.untilGone("b")
		if _, err := w.engine.Engine.List(context.Background()); err != nil || w.journal.count("create one 1") != 0 {
			t.Errorf("the Pod was restarted although it was deleted: %v\n%s", err, w.journal)
		}
	})
}
