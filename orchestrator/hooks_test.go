package orchestrator_test

import (
	"io"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// lifeHooks: hooks show in their containers' logs, and in how long they take.
func lifeHooks(l life) {
	pod := l.run("hooks.yaml", podReady)
	var ready time.Time
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			ready = c.LastTransitionTime.Time
		}
	}
	// Times are whole seconds: of two, one is left at least.
	if started := pod.Status.ContainerStatuses[2].State.Running.StartedAt; ready.Sub(started.Time) < time.Second {
		l.Errorf("started at %s, it was ready at %s", started, ready)
	}
	logs := map[string]io.ReadCloser{}
	for _, c := range []string{"command", "request", "while"} {
		log, err := l.Client.CoreV1().Pods("default").GetLogs("hooks", &corev1.PodLogOptions{Container: c, Follow: true}).Stream(l.Context())
		if err != nil {
			l.Fatal(err)
		}
		defer log.Close()
		logs[c] = log
	}
	begun := time.Now()
	if err := l.Client.CoreV1().Pods("default").Delete(l.Context(), "hooks", metav1.DeleteOptions{}); err != nil {
		l.Fatal(err)
	}
	for c, want := range map[string]string{
		"command": "started\nstopping\nbye\n", "request": "asked for /stopping\nbye\n", "while": "bye\n",
	} {
		text, err := io.ReadAll(logs[c]) // until the container has ended
		_, after, _ := strings.Cut(string(text), "\n")
		if c == "command" { // its hook may be faster than its server
			after = strings.ReplaceAll(string(text), "life serves on :8080\n", "")
		}
		if err != nil || after != want {
			l.Errorf("the log of %s is %q, %v", c, text, err)
		}
		if took := time.Since(begun); c == "while" && took < time.Second {
			l.Errorf("it ended after %s", took)
		}
	}
}

// lifeProbes: with every kind of probe a Pod gets ready, and its conditions are
// the kubelet's.
func lifeProbes(l life) {
	pod := l.run("probes.yaml", podReady)
	for _, kind := range []corev1.PodConditionType{
		corev1.PodReadyToStartContainers, corev1.PodInitialized, corev1.PodReady, corev1.ContainersReady, corev1.PodScheduled,
	} {
		found := false
		for _, c := range pod.Status.Conditions {
			found = found || c.Type == kind && c.Status == corev1.ConditionTrue && !c.LastTransitionTime.IsZero()
		}
		if !found {
			l.Errorf("%s does not hold: %+v", kind, pod.Status.Conditions)
		}
	}
	for container, paths := range map[string][]string{"web": {"/ready", "/alive"}, "secure": {"/ready"}} {
		for _, path := range paths {
			eventually(l.T, container+" was asked for "+path, func() bool {
				log, err := l.Client.CoreV1().Pods("default").GetLogs("probes", &corev1.PodLogOptions{Container: container}).DoRaw(l.Context())
				return err == nil && strings.Contains(string(log), "asked for "+path+"\n")
			})
		}
	}
}

// lifeReplicaSet: a Pod that goes is replaced.
func lifeReplicaSet(l life) {
	l.Apply(l.T, "../examples/life/replicaset.yaml")
	two := func(pods []corev1.Pod) bool { return len(pods) == 2 && podReady(&pods[0]) && podReady(&pods[1]) }
	gone := l.WaitPods(l.T, "app=pair", two)[0]
	if owner := metav1.GetControllerOf(&gone); owner == nil || owner.Kind != "ReplicaSet" || owner.Name != "pair" {
		l.Errorf("the Pod's owner is %+v", owner)
	}
	if err := l.Client.CoreV1().Pods("default").Delete(l.Context(), gone.Name, metav1.DeleteOptions{}); err != nil {
		l.Fatal(err)
	}
	l.WaitPods(l.T, "app=pair", func(pods []corev1.Pod) bool { return two(pods) && pods[0].UID != gone.UID && pods[1].UID != gone.UID })
}
