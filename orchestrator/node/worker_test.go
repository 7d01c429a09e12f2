package node

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/runtime/container"
)

func TestStartsAPod(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.create(newPodObject("a", "web:1"))
		w.untilReady("a")
		pod := w.pod("a")
		if pod.Spec.NodeName != "skiff" || pod.Status.PodIP == "" || pod.Status.HostIP != "10.9.0.1" {
			t.Errorf("status is %+v", pod.Status)
		}
		for _, e := range []string{
			"Scheduled: Successfully assigned default/a to skiff",
			`Pulled: Container image "web:1" already present on machine: using local image sha256:`,
			"Created: Created container: web",
			"Started: Started container web",
		} {
			w.untilEvent(e)
		}
		w.before("add a returned", "write ready")
		if n := w.engine.Calls("Inspect"); n != 0 {
			t.Errorf("the start took %d needless inspections", n)
		}
	})
}

func TestBindingDoesNotHoldUpTheStart(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.engine.Delay("Create", 20*time.Millisecond)
		w.client.PrependReactor("create", "pods", failBinding(5))
		w.create(newPodObject("a", "web:1"))
		w.until(100*time.Millisecond, "the container runs", func() bool {
			list := w.containers()
			return len(list) == 1 && list[0].State == container.Running
		})
		w.until(5*time.Second, "the Pod is bound", func() bool { return w.pod("a").Spec.NodeName == "skiff" })
		w.untilReady("a")
	})
}

func TestSeveralContainersShareASandbox(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		two := func(p *corev1.Pod) {
			second := p.Spec.Containers[0]
			second.Name = "log"
			p.Spec.Containers = append(p.Spec.Containers, second)
		}
		w.create(newPodObject("a", "web:1", two))
		w.untilReady("a")
		w.before("create POD", "create web")
		if n := len(w.containers()); n != 3 {
			t.Errorf("%d containers", n)
		}
		// Without the sandbox, its containers have no network and are replaced.
		for _, c := range w.containers() {
			if c.Name == container.SandboxName {
				w.engine.Vanish(c.ID)
			}
		}
		w.until(time.Minute, "a new sandbox", func() bool { return w.journal.count("create POD") == 2 })
		w.untilReady("a")
		if w.journal.count("create web") != 2 || w.journal.count("create log") != 2 {
			t.Error("the containers were not replaced with their sandbox")
		}
		w.remove("a", -1)
		w.untilGone("a")
		if n := len(w.containers()); n != 0 {
			t.Errorf("%d containers are left", n)
		}
	})
}

func TestMakesTheNode(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		node, err := w.client.CoreV1().Nodes().Get(context.Background(), "skiff", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if node.Labels["kubernetes.io/arch"] != "amd64" || node.Status.NodeInfo.ContainerRuntimeVersion != "docker://20.10.24" {
			t.Errorf("node is %+v", node)
		}
		if cpu := node.Status.Capacity[corev1.ResourceCPU]; cpu.Value() != 2 {
			t.Errorf("capacity is %v", node.Status.Capacity)
		}
		if err := w.client.CoreV1().Nodes().Delete(context.Background(), "skiff", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		w.until(time.Second, "the Node to come back", func() bool {
			_, err := w.client.CoreV1().Nodes().Get(context.Background(), "skiff", metav1.GetOptions{})
			return err == nil
		})
	})
}
