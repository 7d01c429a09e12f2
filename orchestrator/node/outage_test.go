package node

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/orchestrator/resource"
)

// nodeReady is what the API says of the node.
func (w *world) nodeReady() *corev1.NodeCondition {
	w.t.Helper()
	node, err := w.client.CoreV1().Nodes().Get(context.Background(), resource.NodeName, metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	for i := range node.Status.Conditions {
		if node.Status.Conditions[i].Type == corev1.NodeReady {
			return &node.Status.Conditions[i]
		}
	}
	w.t.Fatal("the node does not say whether it is ready")
	return nil
}

// TestEngineEnds: the engine takes its containers with it. Nothing is asked of it
// until it is back, and then each is restarted once, at once, and again at once
// the next time: that was no crash.
func TestEngineEnds(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.create(newPodObject("a", "web:1"))
		w.untilReady("a")
		for round := range 3 {
			w.engine.Lose(137)
			w.until(time.Second, "no requests", func() bool { return !w.traffic.serves("uid-a") })
			asked := w.engine.Calls("Create") + w.engine.Calls("Inspect")
			time.Sleep(3 * time.Second) // less than any back-off
			synctest.Wait()
			if n := w.engine.Calls("Create") + w.engine.Calls("Inspect"); n != asked {
				t.Errorf("an engine that is lost was asked %d times", n-asked)
			}
			if c := w.nodeReady(); c.Status != corev1.ConditionFalse || c.Reason != "KubeletNotReady" || !strings.HasPrefix(c.Message, "container runtime is down") {
				t.Errorf("the node says %+v", c)
			}
			if c := w.pod("a").Status.ContainerStatuses[0]; c.State.Waiting != nil {
				t.Errorf("the container waits: %+v", c.State.Waiting)
			}
			w.engine.Regain()
			took := w.until(time.Minute, "ready again", func() bool {
				return ready(w.pod("a")) && w.pod("a").Status.ContainerStatuses[0].RestartCount == int32(round+1)
			})
			if took > time.Second {
				t.Errorf("round %d: ready again after %s", round, took)
			}
			if c := w.nodeReady(); c.Status != corev1.ConditionTrue {
				t.Errorf("the node says %+v", c)
			}
		}
		if all := strings.Join(w.events(), "\n"); strings.Contains(all, "BackOff") || strings.Contains(all, "Failed") {
			t.Errorf("events tell of failures:\n%s", all)
		}
	})
}

// TestContainersOutliveTheEngine: it goes and comes back with its containers
// running, and one of them has ended meanwhile.
func TestContainersOutliveTheEngine(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.create(newPodObject("a", "web:1"))
		w.create(newPodObject("b", "web:1"))
		w.untilReady("a")
		w.untilReady("b")
		before := w.pod("a").Status.ContainerStatuses[0].ContainerID
		ended := w.pod("b").Status.ContainerStatuses[0].ContainerID
		w.engine.Lose(-1)
		time.Sleep(time.Minute)
		synctest.Wait()
		if !w.traffic.serves("uid-a") || !ready(w.pod("a")) {
			t.Error("a container that runs on gets no requests")
		}
		w.engine.ExitUnseen(ended, 1)
		w.engine.Regain()
		w.until(time.Minute, "b is restarted", func() bool {
			return ready(w.pod("b")) && w.pod("b").Status.ContainerStatuses[0].RestartCount == 1
		})
		if c := w.pod("a").Status.ContainerStatuses[0]; c.ContainerID != before || c.RestartCount != 0 {
			t.Errorf("the container that ran on was replaced: %+v", c)
		}
	})
}

// TestDeletedWithoutEngine: a Pod goes as soon as the engine is back, and one that
// is made meanwhile starts then.
func TestDeletedWithoutEngine(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.create(newPodObject("a", "web:1"))
		w.untilReady("a")
		w.engine.Lose(137)
		synctest.Wait()
		w.remove("a", -1)
		w.create(newPodObject("b", "web:1"))
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if w.pod("a") == nil {
			t.Error("the Pod is gone although its container is not")
		}
		w.engine.Regain()
		w.untilGone("a")
		w.untilReady("b")
	})
}

// TestDownWithoutEngine: skiff can be ended although nothing can be stopped.
func TestDownWithoutEngine(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.create(newPodObject("a", "web:1"))
		w.untilReady("a")
		w.engine.Lose(-1)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := w.worker.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
}
