package node

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/runtime/container"
	"skiff/runtime/fake"
)

// debug adds an ephemeral container to a Pod.
func (w *world) debug(pod, name string) {
	w.t.Helper()
	p := w.pod(pod)
	p.Spec.EphemeralContainers = append(p.Spec.EphemeralContainers, corev1.EphemeralContainer{
		EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: name, Image: "debug", ImagePullPolicy: corev1.PullIfNotPresent},
	})
	if err := w.client.Tracker().Update(pods, p, p.Namespace); err != nil {
		w.t.Fatal(err)
	}
	w.until(time.Minute, name+" runs", func() bool { return w.named(name) != nil && w.named(name).State == container.Running })
}

// TestEphemeralContainersShareTheNetwork: that of the container which owns it. They
// outlive that, without a network where the Pod had no sandbox.
func TestEphemeralContainersShareTheNetwork(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.engine.AddImage("debug", fake.Run)
		w.create(newPodObject("a", "web:1"))
		w.untilReady("a")
		state := func(name string) corev1.ContainerState {
			for _, cs := range w.pod("a").Status.EphemeralContainerStatuses {
				if cs.Name == name {
					return cs.State
				}
			}
			return corev1.ContainerState{}
		}
		w.debug("a", "one")
		if got, want := w.named("one").Sandbox, w.named("web").ID; got != want {
			t.Errorf("it is in the network of %q, want %q", got, want)
		}
		crash := func() {
			attempts := w.journal.count("create web")
			w.engine.Exit(w.named("web").ID, 1)
			w.until(10*time.Minute, "the next attempt", func() bool { return w.journal.count("create web") > attempts && ready(w.pod("a")) })
		}
		crash()
		const lost = "NetworkNotReady: The Pod has a new network."
		w.untilEvent(lost)
		w.debug("a", "two")
		if got, want := w.named("two").Sandbox, w.named("web").ID; got != want {
			t.Errorf("it is in the network of %q, want %q", got, want)
		}

		crash() // with the second one in its network, which is no reason not to have a sandbox
		sandbox := w.named("POD")
		if sandbox == nil {
			t.Fatal("no sandbox during the back-off")
		}
		told := func() int { return strings.Count(strings.Join(w.events(), "\n"), lost) }
		before := told()
		w.debug("a", "three")
		crash()
		synctest.Wait()
		if got := w.named("three"); got.Sandbox != sandbox.ID || got.State != container.Running {
			t.Errorf("after a restart in the sandbox %s: %+v", sandbox.ID, got)
		}
		if n := told(); n != before {
			t.Errorf("%d more have lost their network", n-before)
		}
		w.end()
		w.begin()
		w.untilReady("a")
		for _, name := range []string{"one", "two", "three"} {
			if state(name).Running == nil || w.named(name).State != container.Running {
				t.Errorf("the state of %s is %+v", name, state(name))
			}
		}
		w.remove("a", 0)
		w.untilGone("a")
	})
}

// TestSandboxRestartedByHand: "docker restart" gives a sandbox another network;
// what is in the old one is not reached any more, and begins anew. Who looks at it
// may go on.
func TestSandboxRestartedByHand(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.engine.AddImage("debug", fake.Run)
		w.create(newPodObject("a", "web:1", func(p *corev1.Pod) {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "two", Image: "web:1", ImagePullPolicy: corev1.PullIfNotPresent})
		}))
		w.untilReady("a")
		w.debug("a", "debug")
		sandbox, before := w.named("POD").ID, w.named("web").ID
		w.engine.Exit(sandbox, 137)
		if err := w.engine.Engine.Start(t.Context(), sandbox); err != nil {
			t.Fatal(err)
		}
		w.until(time.Minute, "both containers run anew", func() bool {
			return w.named("web").Attempt == 1 && w.named("two").Attempt == 1 && ready(w.pod("a"))
		})
		if w.named("POD").ID != sandbox || w.named("web").ID == before || w.named("debug").State != container.Running {
			t.Errorf("there are %+v", w.containers())
		}
	})
}

// A Pod whose container cannot be made has its network all the same, and can be
// looked at.
func TestDebugsWhatCannotBeMade(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.engine.AddImage("debug", fake.Run)
		w.create(newPodObject("a", "late:1"))
		w.untilEvent("Failed: Error: ErrImagePull")
		w.until(time.Second, "the Pod has its network", func() bool {
			return w.named("POD") != nil && w.pod("a").Status.PodIP != "" && holds(w.pod("a"), corev1.PodReadyToStartContainers)
		})
		w.debug("a", "look")
		box := w.named("POD").ID
		if got := w.named("look").Sandbox; got != box {
			t.Errorf("it is in the network of %q, want %q", got, box)
		}
		w.engine.AddImage("late:1", fake.Run)
		w.until(time.Minute, "ready", func() bool { return ready(w.pod("a")) })
		if w.named("web").Sandbox != box || w.named("look").State != container.Running {
			t.Errorf("there are %+v", w.containers())
		}
	})
}

// On the machine's own network nobody has to own it.
func TestDebugsACrashLoopOnTheHost(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.engine.AddImage("debug", fake.Run)
		w.restarted(newPodObject("a", "web:1", func(p *corev1.Pod) { p.Spec.HostNetwork = true }))
		w.engine.Exit(w.named("web").ID, 1)
		time.Sleep(time.Second)
		w.debug("a", "look")
		if w.named("web").State == container.Running {
			t.Fatal("it waited for the container")
		}
		w.until(time.Minute, "the next attempt", func() bool { return w.named("web").Attempt == 2 && ready(w.pod("a")) })
		w.engine.Exit(w.named("web").ID, 1)
		w.until(time.Minute, "the attempt after", func() bool { return w.named("web").Attempt == 3 && ready(w.pod("a")) })
		if w.named("look").State != container.Running || strings.Contains(strings.Join(w.events(), "\n"), reasonNetworkLost) {
			t.Errorf("%+v", w.named("look"))
		}
	})
}

// An ephemeral container is never started twice: that the network's owner has ended
// in that instant is not held against it.
func TestDebugsWhileTheContainerEnds(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.engine.AddImage("debug", fake.Run)
		w.create(newPodObject("a", "web:1"))
		w.untilReady("a")
		w.engine.ExitUnseen(w.named("web").ID, 1)
		go func() {
			time.Sleep(time.Second)
			w.engine.LoseEvents()
		}()
		w.debug("a", "look")
		if got, want := w.named("look").Sandbox, w.named("web").ID; got != want {
			t.Errorf("it is in the network of %q, want %q", got, want)
		}
	})
}
