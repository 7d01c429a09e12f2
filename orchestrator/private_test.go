package orchestrator_test

import (
	"io"
	"net"
	"net/http"
	"os/exec"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
)

// lifePrivate: what listens on the Pod's own loopback address is reached through a
// forwarded port and by ephemeral containers, and by nobody else. The Pod owns its
// network itself: a restart makes another one.
func lifePrivate(l life) {
	pod := l.run("private.yaml", podReady)
	if conn, err := net.Dial("tcp", net.JoinHostPort(pod.Status.PodIP, "8080")); err == nil {
		conn.Close()
		l.Error("the Pod's port is open to everybody")
	}
	address := forwardPort(l.T, l.Instance, "private", 8080)
	l.answered(address)
	l.debug("first", corev1.EphemeralContainerCommon{Args: []string{"ask", "http://127.0.0.1:8080/"}})
	l.logs("first")
	l.debug("beside", corev1.EphemeralContainerCommon{Env: []corev1.EnvVar{{Name: "PORT", Value: "8081"}}})
	l.ephemeral("beside", func(s corev1.ContainerState) bool { return s.Running != nil })

	dockerDo(l.T, "kill "+containerID(pod))
	l.WaitPod(l.T, "private", func(p *corev1.Pod) bool { return p.Status.ContainerStatuses[0].RestartCount == 1 && podReady(p) })
	l.ephemeral("beside", func(s corev1.ContainerState) bool { return s.Running != nil })
	l.answered(address)
	l.debug("second", corev1.EphemeralContainerCommon{Args: []string{"ask", "http://127.0.0.1:8080/"}})
	l.logs("second")
	eventually(l.T, "nothing is left of the connections", func() bool {
		out, err := exec.CommandContext(l.Context(), "docker", "ps", "-aq", "--filter", "label=io.kubernetes.pod.uid="+string(pod.UID),
			"--filter", "label=io.kubernetes.container.name=PORT").Output()
		return err == nil && len(out) == 0
	})
}

// answered asks twice, over a connection each.
func (l life) answered(address string) {
	l.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for range 2 {
		answer, err := client.Get(address)
		if err != nil {
			l.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || string(text) != "private\n" {
			l.Errorf("the answer is %q, %v", text, err)
		}
	}
}

// debug adds an ephemeral container to the Pod.
func (l life) debug(name string, c corev1.EphemeralContainerCommon) {
	l.Helper()
	c.Name, c.Image = name, "skiff-example/life:1"
	pods := l.Client.CoreV1().Pods("default")
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error { // the Pod's status may change meanwhile
		pod, err := pods.Get(l.Context(), "private", metav1.GetOptions{})
		if err != nil {
			return err
		}
		pod.Spec.EphemeralContainers = append(pod.Spec.EphemeralContainers, corev1.EphemeralContainer{EphemeralContainerCommon: c})
		_, err = pods.UpdateEphemeralContainers(l.Context(), "private", pod, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		l.Fatal(err)
	}
}

func (l life) ephemeral(name string, done func(corev1.ContainerState) bool) {
	l.Helper()
	l.WaitPod(l.T, "private", func(p *corev1.Pod) bool {
		for _, cs := range p.Status.EphemeralContainerStatuses {
			if cs.Name == name {
				return done(cs.State)
			}
		}
		return false
	})
}

// logs waits until an ephemeral container has told the server's answer.
func (l life) logs(name string) {
	l.Helper()
	l.ephemeral(name, func(s corev1.ContainerState) bool { return s.Terminated != nil })
	out, err := l.Client.CoreV1().Pods("default").GetLogs("private", &corev1.PodLogOptions{Container: name}).DoRaw(l.Context())
	if err != nil || string(out) != "private\n" {
		l.Errorf("container %s says %q, %v", name, out, err)
	}
}
