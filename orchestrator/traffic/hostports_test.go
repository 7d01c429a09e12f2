package traffic

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/orchestrator/porttest"
)

// onHost has a port of the host lead to a Pod.
func (w *world) onHost(a *app, hostPort int) {
	w.t.Helper()
	pod := a.DeepCopy()
	pod.Spec.NodeName = "skiff"
	pod.Spec.Containers[0].Ports[0].Name = "http"
	pod.Spec.Containers[0].Ports[0].HostPort = int32(hostPort)
	if _, err := w.client.CoreV1().Pods("default").Update(w.t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		w.t.Fatal(err)
	}
	a.Pod = pod
}

// A port of the host leads to the one Pod that claims it, holds requests while
// that is not ready, and is the next Pod's once it is gone.
func TestHostPort(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	target, port := porttest.Free(t), porttest.Free(t)
	first, second := w.app("first", "v1", target), w.app("second", "v2", target)
	w.onHost(first, port)
	w.add(first)
	for _, host := range w.Loopbacks {
		eventually(t, "the Pod answers at "+host, func() bool { return says(t, host, port, "v1") })
	}

	if err := w.Remove(t.Context(), first.UID); err != nil {
		t.Fatal(err)
	}
	held := make(chan string, 1)
	c := client(t)
	go func() {
		_, body, err := ask(c, port, "/")
		held <- fmt.Sprint(body, err)
	}()
	pool := w.board.Pool("pod default/first", fmt.Sprintf(" %d/TCP", port))
	eventually(t, "the request is held", func() bool { return pool.Snapshot().Waiting == 1 })
	w.add(first)
	if got := <-held; got != "v1<nil>" {
		t.Errorf("the request that was held: %s", got)
	}

	w.onHost(second, port)
	w.add(second)
	if got := <-w.events.Events; !strings.Contains(got, fmt.Sprintf("127.0.0.1:%d is in use by pod default/first", port)) {
		t.Errorf("event %q", got)
	}
	w.drainAndStop(first)
	eventually(t, "the port is the second Pod's", func() bool { return says(t, "127.0.0.1", port, "v2") })

	ended := second.DeepCopy()
	ended.Status.Phase = corev1.PodSucceeded
	if _, err := w.client.CoreV1().Pods("default").Update(t.Context(), ended, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the port of a Pod that has ended is closed", func() bool { return refuses("127.0.0.1", port) })
}

func TestClaimedAddresses(t *testing.T) {
	t.Parallel()
	d := &Director{Options: Options{Loopbacks: []string{"127.0.0.1", "::1"}}}
	for hostIP, want := range map[string]string{
		"":          "[127.0.0.1:80 [::1]:80]",
		"0.0.0.0":   "[127.0.0.1:80 [::1]:80]",
		"127.0.0.2": "[127.0.0.2:80]",
		"::1":       "[[::1]:80]",
	} {
		if got := fmt.Sprint(d.claimedAddresses(corev1.ContainerPort{HostPort: 80, HostIP: hostIP})); got != want {
			t.Errorf("%q: got %s, want %s", hostIP, got, want)
		}
	}
}

// Of the init containers only sidecars are there while the Pod has traffic,
// whatever restart policy the others have of their own.
func TestClaimedPorts(t *testing.T) {
	t.Parallel()
	container := func(hostPort int32, policy *corev1.ContainerRestartPolicy) corev1.Container {
		return corev1.Container{RestartPolicy: policy, Ports: []corev1.ContainerPort{{HostPort: hostPort}, {ContainerPort: 80}}}
	}
	claimed := claimedPorts(&corev1.PodSpec{
		Containers: []corev1.Container{container(1, nil)},
		InitContainers: []corev1.Container{
			container(2, nil),
			container(3, new(corev1.ContainerRestartPolicyAlways)),
			container(4, new(corev1.ContainerRestartPolicyNever)),
		},
	})
	if len(claimed) != 2 || claimed[0].HostPort != 1 || claimed[1].HostPort != 3 {
		t.Errorf("claimed: %v, want those of the container and of the sidecar", claimed)
	}
}
