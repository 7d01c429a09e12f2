package node

import (
	"testing"
	"testing/synctest"
	"time"

	"skiff/runtime/container"
	"skiff/runtime/fake"
)

// crashes adds an image that runs for a second each time.
func (w *world) crashes(image string) {
	w.engine.AddImage(image, func(container.Spec) fake.Behaviour {
		return fake.Behaviour{ExitAfter: time.Second, ExitCode: 3}
	})
}

// named finds the newest container of a name.
func (w *world) named(name string) *container.Status {
	var newest *container.Status
	for _, st := range w.containers() {
		if st.Name == name && (newest == nil || st.Attempt > newest.Attempt) {
			newest = &st
		}
	}
	return newest
}

// TestSandboxDuringBackOff: the first start and the first restart have none; while
// the second restart is waited for it is made, with the Pod's address, and all
// later attempts join it.
func TestSandboxDuringBackOff(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.crashes("crash")
		w.create(newPodObject("a", "crash"))
		w.until(time.Minute, "the first restart", func() bool { return w.journal.count("create web") == 2 })
		if n := w.journal.count("create POD"); n != 0 {
			t.Errorf("%d sandboxes before there is a back-off", n)
		}
		address := w.named("web").Address
		w.until(5*time.Second, "a sandbox", func() bool { return w.named("POD") != nil && w.named("POD").State == container.Running })
		sandbox := w.named("POD")
		if sandbox.Address != address || w.pod("a").Status.PodIP != address.String() {
			t.Errorf("the sandbox is at %s, the Pod was at %s and says %s", sandbox.Address, address, w.pod("a").Status.PodIP)
		}
		for attempts := 3; attempts <= 4; attempts++ {
			w.until(time.Minute, "the next restart", func() bool { return w.journal.count("create web") == attempts })
			synctest.Wait()
			if got := w.named("web").Sandbox; got != sandbox.ID {
				t.Errorf("attempt %d is in sandbox %q, want %q", attempts, got, sandbox.ID)
			}
		}
		if n := w.journal.count("create POD"); n != 1 {
			t.Errorf("%d sandboxes were made, want 1", n)
		}
		w.remove("a", 0)
		w.untilGone("a")
		if left := w.containers(); len(left) != 0 {
			t.Errorf("left: %v", left)
		}
	})
}

// TestSandboxIsAdopted: the next run knows the sandbox that the last one made, and
// leaves the container in it alone.
func TestSandboxIsAdopted(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		runs := 0
		w.engine.AddImage("settles", func(container.Spec) fake.Behaviour {
			if runs++; runs <= 2 {
				return fake.Behaviour{ExitAfter: time.Second, ExitCode: 3}
			}
			return fake.Behaviour{}
		})
		w.create(newPodObject("a", "settles"))
		w.until(time.Minute, "it settles", func() bool { return w.journal.count("create web") == 3 && ready(w.pod("a")) })
		before, sandbox := w.named("web").ID, w.named("POD").ID
		w.end()
		w.begin()
		time.Sleep(time.Minute)
		synctest.Wait()
		web, pod := w.named("web"), w.named("POD")
		if web.ID != before || web.State != container.Running || pod == nil || pod.ID != sandbox || pod.State != container.Running {
			t.Errorf("after adoption: container %+v, sandbox %+v", web, pod)
		}
		w.engine.Exit(before, 1)
		w.until(10*time.Minute, "the next attempt", func() bool { return w.journal.count("create web") == 4 })
		synctest.Wait()
		if got := w.named("web").Sandbox; got != sandbox {
			t.Errorf("the next attempt is in sandbox %q, want %q", got, sandbox)
		}
	})
}
