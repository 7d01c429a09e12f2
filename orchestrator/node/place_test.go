package node

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The machine of these tests has 2 processors and 4 Gi.

func requesting(cpu string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.Containers[0].Resources.Requests = quantities("cpu", cpu) }
}

func tolerating(seconds int64) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Tolerations = []corev1.Toleration{{
			Key: "upkeep", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &seconds,
		}}
	}
}

// changeNode writes the Node as a user would.
func (w *world) changeNode(change func(*corev1.Node)) {
	w.t.Helper()
	node, err := w.client.CoreV1().Nodes().Get(context.Background(), "skiff", metav1.GetOptions{})
	if err == nil {
		change(node)
		_, err = w.client.CoreV1().Nodes().Update(context.Background(), node, metav1.UpdateOptions{})
	}
	if err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
}

func (w *world) untilPending(name, reason, message string) {
	w.t.Helper()
	w.until(time.Second, "Pod "+name+" is "+reason, func() bool {
		pod := w.pod(name)
		c := condition(pod.Status.Conditions, corev1.PodScheduled)
		return pod.Status.Phase == corev1.PodPending && pod.Spec.NodeName == "" && len(pod.Status.Conditions) == 1 &&
			c != nil && c.Status == corev1.ConditionFalse && c.Reason == reason && c.Message == message
	})
}

const (
	noVictims   = ". no new claims to deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
	unhelpful   = ". no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
	noProcessor = "0/1 nodes are available: 1 Insufficient cpu" + noVictims
)

func TestPodWaitsForRoom(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.create(newPodObject("first", "web:1", requesting("1500m")))
		w.untilReady("first")
		w.create(newPodObject("second", "web:1", requesting("1")))
		w.untilPending("second", "Unschedulable", noProcessor)
		w.untilEvent("FailedScheduling: " + noProcessor)
		if n := len(w.containers()); n != 1 {
			t.Errorf("%d containers, want the first Pod's", n)
		}
		w.create(newPodObject("small", "web:1", requesting("500m"))) // it does not queue behind one that is too large
		w.untilReady("small")
		w.remove("first", 0)
		w.untilReady("second")
		if c := condition(w.pod("second").Status.Conditions, corev1.PodScheduled); c.Status != corev1.ConditionTrue || c.Reason != "" || c.Message != "" {
			t.Errorf("condition is %+v", c)
		}
	})
}

// What has ended needs no room, and what waits may go.
func TestRoomOfEndedPods(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		once := func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyNever }
		w.create(newPodObject("first", "web:1", requesting("2"), once))
		w.untilReady("first")
		w.create(newPodObject("second", "web:1", requesting("2")))
		w.create(newPodObject("third", "web:1", requesting("2")))
		w.untilPending("third", "Unschedulable", noProcessor)
		w.remove("second", -1)
		w.untilGone("second")
		w.engine.Exit(w.containers()[0].ID, 0)
		w.untilReady("third")
	})
}

// Of several that wait, the one of the highest priority comes first, then the
// oldest. After a restart of skiff those that run keep their places.
func TestOrderOfThoseThatWait(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		at := func(age time.Duration, priority int32) func(*corev1.Pod) {
			return func(p *corev1.Pod) {
				p.CreationTimestamp, p.Spec.Priority = metav1.NewTime(time.Now().Add(-age)), &priority
			}
		}
		w.create(newPodObject("first", "web:1", requesting("2"), at(0, 0)))
		w.untilReady("first")
		w.create(newPodObject("young", "web:1", requesting("2"), at(time.Minute, 0)))
		w.create(newPodObject("old", "web:1", requesting("2"), at(time.Hour, 0)))
		w.create(newPodObject("urgent", "web:1", requesting("2"), at(time.Second, 9)))
		for _, name := range []string{"first", "urgent", "old", "young"} {
			w.end()
			w.begin()
			w.untilReady(name)
			if n := len(w.containers()); n != 1 {
				t.Fatalf("%d containers run next to %s", n, name)
			}
			w.remove(name, 0)
		}
	})
}

func TestCordon(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.create(newPodObject("before", "web:1"))
		w.untilReady("before")
		w.changeNode(func(n *corev1.Node) { n.Spec.Unschedulable = true })
		w.create(newPodObject("after", "web:1"))
		w.untilPending("after", "Unschedulable", "0/1 nodes are available: 1 node(s) were unschedulable"+unhelpful)
		if !ready(w.pod("before")) {
			t.Error("what runs on a cordoned node does not stay")
		}
		w.changeNode(func(n *corev1.Node) { n.Spec.Unschedulable = false })
		w.untilReady("after")
	})
}

func TestSchedulingGates(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.create(newPodObject("a", "web:1", func(p *corev1.Pod) { p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "x/y"}} }))
		w.untilPending("a", "SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates")
		if all := strings.Join(w.events(), "\n"); strings.Contains(all, "FailedScheduling") {
			t.Errorf("a gate counts as a failure:\n%s", all)
		}
		open := w.pod("a")
		open.Spec.SchedulingGates = nil
		if _, err := w.client.CoreV1().Pods("default").Update(context.Background(), open, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		w.untilReady("a")
	})
}

func TestNodeNamedByThePod(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		named := func(p *corev1.Pod) { p.Spec.NodeName = "skiff" }
		w.changeNode(func(n *corev1.Node) { n.Spec.Unschedulable = true })
		w.create(newPodObject("fits", "web:1", named, requesting("1")))
		w.untilReady("fits") // cordon is for the scheduler
		w.create(newPodObject("large", "web:1", named, requesting("1500m")))
		rejected := func() bool {
			st := w.pod("large").Status
			return st.Phase == corev1.PodFailed && st.Reason == "OutOfcpu" && len(st.ContainerStatuses) == 0 &&
				st.Message == "Pod was rejected: Node didn't have enough resource: cpu, requested: 1500, used: 1000, capacity: 2000"
		}
		w.until(time.Second, "the Pod is rejected", rejected)
		w.untilEvent("OutOfcpu: Pod was rejected: ")
		w.end()
		w.begin()
		w.remove("fits", 0)
		w.untilGone("fits")
		if !rejected() || len(w.containers()) > 0 {
			t.Errorf("a Pod that was rejected came back: %+v", w.pod("large").Status)
		}
		w.remove("large", -1)
		w.untilGone("large")
	})
}

func TestNoExecute(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.create(newPodObject("sensitive", "web:1"))
		w.create(newPodObject("patient", "web:1", tolerating(60)))
		w.create(newPodObject("lucky", "web:1", tolerating(120)))
		for _, name := range []string{"sensitive", "patient", "lucky"} {
			w.untilReady(name)
		}
		w.changeNode(func(n *corev1.Node) {
			n.Spec.Taints = []corev1.Taint{{Key: "upkeep", Effect: corev1.TaintEffectNoExecute}}
		})
		w.untilGone("sensitive")
		w.untilEvent("TaintManagerEviction: Marking for deletion Pod default/sensitive")
		w.create(newPodObject("late", "web:1", tolerating(60)))
		w.untilReady("late")
		time.Sleep(61 * time.Second)
		w.untilGone("patient")
		w.untilGone("late")
		w.changeNode(func(n *corev1.Node) { n.Spec.Taints = nil })
		time.Sleep(time.Hour)
		if !ready(w.pod("lucky")) {
			t.Error("the taint is gone, and a Pod was deleted for it")
		}
	})
}

func TestCapacity(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.end()
		w.capacity = quantities("cpu", "500m", "memory", "1Gi")
		w.begin()
		node, err := w.client.CoreV1().Nodes().Get(context.Background(), "skiff", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, list := range []corev1.ResourceList{node.Status.Capacity, node.Status.Allocatable} {
			if list.Cpu().String() != "500m" || list.Memory().String() != "1Gi" || list.Pods().Value() != 250 {
				t.Errorf("the node has %v", list)
			}
		}
		w.create(newPodObject("a", "web:1", requesting("501m")))
		w.untilPending("a", "Unschedulable", "0/1 nodes are available: 1 Insufficient cpu"+unhelpful)
	})
}
