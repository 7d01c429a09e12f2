package node

import (
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// A Pod is called ready when, and only when, traffic has taken it in; and it
// is in traffic only while its probe passes. Traffic is slow here, so that a
// report that does not wait for it comes first.
func TestPromiseOrderOfComingAndFailing(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.traffic.slow = 500 * time.Millisecond
		healthy := w.checked("probed", false)
		w.create(newPodObject("a", "probed", func(p *corev1.Pod) { p.Spec.Containers[0].ReadinessProbe = execProbe(1, 1) }))
		time.Sleep(3 * time.Second)
		if w.journal.count("add") != 0 {
			t.Error("in traffic before its probe passed")
		}
		healthy.Store(true)
		w.until(5*time.Second, "traffic takes it in", func() bool { return w.journal.count("add a begins") == 1 })
		synctest.Wait()
		if ready(w.pod("a")) {
			t.Error("ready before traffic had taken it in")
		}
		w.untilReady("a")
		w.before("add a returned", "write ready")

		healthy.Store(false)
		w.until(5*time.Second, "out of traffic", func() bool { return !w.traffic.serves("uid-a") })
		synctest.Wait()
		if !ready(w.pod("a")) {
			t.Error("reported unready before traffic had let it go")
		}
		w.until(5*time.Second, "reported", func() bool { return !ready(w.pod("a")) })
		if w.journal.index("traffic removed", 0) > w.journal.index("write unready", w.journal.count("write unready")-1) {
			t.Error("reported before traffic had let it go")
		}
	})
}

// Traffic that does not take a Pod in keeps it from being called ready.
func TestPromiseOrderWhenTrafficFails(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.traffic.fails = 4
		w.create(newPodObject("a", "web:1"))
		w.until(5*time.Second, "three failures", func() bool { return w.journal.count("add a begins") == 4 })
		synctest.Wait()
		if p := w.pod("a"); ready(p) || p.Status.ContainerStatuses[0].Ready {
			t.Error("ready although traffic did not take it in")
		}
		w.untilReady("a")
		w.before("add a returned", "write ready")
	})
}

// A Pod that goes leaves traffic and is drained first, whatever the reason;
// only then is it told to end, and the API hears of it last.
func TestPromiseOrderOfGoing(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.create(newPodObject("a", "web:1", withPreStop("bye"), func(p *corev1.Pod) {
			p.Annotations = map[string]string{"skiff.dev/drain-seconds": "7"}
		}))
		w.untilReady("a")
		w.traffic.cargo = 4 * time.Second
		w.remove("a", -1)
		w.untilGone("a")
		w.before("drain a begins, streams 7s", "drain a returned")
		w.before("drain a returned", "exec bye")
		w.before("exec bye", "stop 26s")
		w.before("stop 26s", "remove")
		w.before("remove", "delete object, grace 0")
	})
}

// A container that dies takes its Pod out of traffic before anything is said.
func TestPromiseOrderOfDying(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.create(newPodObject("a", "web:1"))
		w.untilReady("a")
		unready := w.journal.count("write unready")
		w.traffic.slow = 300 * time.Millisecond
		w.engine.Exit(w.containers()[0].ID, 1)
		synctest.Wait()
		if w.traffic.serves("uid-a") {
			t.Error("still in traffic")
		}
		if w.journal.count("write unready") != unready {
			t.Error("reported before traffic had let it go")
		}
		w.until(5*time.Second, "removed", func() bool { return w.journal.count("traffic removed") == 1 })
		w.untilReady("a")
		if w.journal.index("add a returned", 1) > w.journal.index("write ready", 1) {
			t.Error("ready again before traffic had taken it in")
		}
	})
}

// Starting a Pod that is Ready at once takes two writes: that it is being made,
// and that it is ready.
func TestWritesAreFew(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.engine.Delay("Create", 13*time.Millisecond)
		w.engine.Delay("Start", 196*time.Millisecond)
		w.create(newPodObject("a", "web:1"))
		begun := time.Now()
		w.untilReady("a")
		if took := time.Since(begun); took > 230*time.Millisecond {
			t.Errorf("ready after %s, %s of it the engine's", took, 209*time.Millisecond)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := w.journal.count("write"); n > 2 {
			t.Errorf("%d writes:\n%s", n, w.journal)
		}
		w.remove("a", -1)
		w.untilGone("a")
		if n := w.journal.count("write"); n > 2 {
			t.Errorf("%d writes with the deletion:\n%s", n, w.journal)
		}
	})
}
