package node

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/runtime/container"
	"skiff/runtime/fake"
)

func TestReadinessProbe(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		healthy := w.checked("probed", true)
		w.create(newPodObject("a", "probed", func(p *corev1.Pod) {
			p.Spec.Containers[0].ReadinessProbe = execProbe(1, 3)
		}))
		w.untilReady("a")
		healthy.Store(false)
		took := w.until(10*time.Second, "not ready", func() bool { return !ready(w.pod("a")) })
		if took < time.Second {
			t.Errorf("three failures took %s", took)
		}
		if w.traffic.serves("uid-a") {
			t.Error("an unready Pod gets traffic")
		}
		if last := w.journal.count("write unready") - 1; w.journal.index("traffic removed", 0) > w.journal.index("write unready", last) {
			t.Error("reported before traffic had let it go")
		}
		w.untilEvent("Unhealthy: Readiness probe failed: no")
		if m := condition(w.pod("a").Status.Conditions, corev1.PodReady).Message; m != "containers with unready status: [web]" {
			t.Errorf("message is %q", m)
		}
		healthy.Store(true)
		w.untilReady("a")
		if !w.traffic.serves("uid-a") {
			t.Error("a ready Pod gets no traffic")
		}
	})
}

func TestLivenessProbeRestarts(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.engine.AddImage("probed", func(spec container.Spec) fake.Behaviour {
			code := 0
			if spec.Attempt == 0 {
				code = 1
			}
			return fake.Behaviour{Exec: func(context.Context, []string) ([]byte, int, error) { return []byte("sick"), code, nil }}
		})
		w.create(newPodObject("a", "probed", func(p *corev1.Pod) {
			p.Spec.Containers[0].LivenessProbe = execProbe(1, 2)
		}))
		w.until(20*time.Second, "restarted", func() bool { return w.journal.count("create web") == 2 })
		w.untilReady("a")
		w.untilEvent("Unhealthy: Liveness probe failed: sick")
		w.untilEvent("Killing: Container web failed liveness probe, will be restarted")
		w.before("traffic removed", "stop")
	})
}

// A check that never returns is given up when its time is over, counts as failed,
// and leaves nothing behind that waits for it: the bubble would not end.
func TestCheckThatNeverReturns(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		var hanging atomic.Int32
		w.engine.AddImage("probed", func(spec container.Spec) fake.Behaviour {
			return fake.Behaviour{Exec: func(ctx context.Context, _ []string) ([]byte, int, error) {
				if spec.Attempt > 0 {
					return nil, 0, nil
				}
				if n := hanging.Add(1); n > 2 {
					t.Errorf("%d checks at a time", n)
				}
				<-ctx.Done()
				hanging.Add(-1)
				return nil, 0, ctx.Err()
			}}
		})
		w.create(newPodObject("a", "probed", func(p *corev1.Pod) {
			p.Spec.Containers[0].ReadinessProbe = execProbe(1, 1)
			p.Spec.Containers[0].LivenessProbe = execProbe(1, 3)
		}))
		took := w.until(20*time.Second, "restarted", func() bool { return w.journal.count("create web") == 2 })
		if took < 3*time.Second || took > 6*time.Second {
			t.Errorf("three checks of a second each took %s", took)
		}
		w.untilReady("a")
		w.before("create web 1", "add a begins")
		w.untilEvent(`Unhealthy: Liveness probe failed: command "check" timed out after 1s`)
		w.untilEvent("Killing: Container web failed liveness probe, will be restarted")
		if n := hanging.Load(); n != 0 {
			t.Errorf("%d checks hang on", n)
		}
	})
}

func TestStartupProbeHoldsTheOthersBack(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		begun := time.Now()
		w.engine.AddImage("slow", func(container.Spec) fake.Behaviour {
			return fake.Behaviour{Exec: func(_ context.Context, cmd []string) ([]byte, int, error) {
				if cmd[0] == "start" && time.Since(begun) < 5*time.Second {
					return nil, 1, nil
				}
				return nil, 0, nil
			}}
		})
		w.create(newPodObject("a", "slow", func(p *corev1.Pod) {
			p.Spec.Containers[0].StartupProbe = execProbe(1, 30)
			p.Spec.Containers[0].StartupProbe.Exec.Command = []string{"start"}
			p.Spec.Containers[0].ReadinessProbe = execProbe(1, 3)
		}))
		w.untilReady("a")
		if took := time.Since(begun); took < 5*time.Second || took > 7*time.Second {
			t.Errorf("ready after %s", took)
		}
		if started := w.pod("a").Status.ContainerStatuses[0].Started; started == nil || !*started {
			t.Error("not reported as started")
		}
	})
}
