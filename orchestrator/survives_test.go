package orchestrator_test

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"skiff/orchestrator/skifftest"
)

// TestSurvivesTheEnginesUser does to the containers of a Deployment what people
// do with docker's own commands, and sees the one Pod back in service. want says
// whether its container is still the same one.
func TestSurvivesTheEnginesUser(t *testing.T) {
	t.Parallel()
	images(t)
	i := skifftest.New(t)
	i.Deploy(t, web(1, func(d *appsv1.Deployment) {
		d.Spec.Template.Spec.Containers[0].ReadinessProbe.TimeoutSeconds = 1 // what is paused is unready soon
	}))
	network := "skiff-" + i.Options.Name
	for _, injury := range []struct {
		name, same string
		commands   []string // ID stands for the container, OWNER for whose network it has
	}{
		{"killed", "another", []string{"kill ID"}},
		{"stopped", "another", []string{"stop -t 1 ID"}},
		{"removed", "another", []string{"rm -f ID"}},
		{"restarted", "the same", []string{"restart -t 1 ID"}},
		{"renamed", "the same", []string{"rename ID skiff-test-" + i.Options.Name}},
		{"paused", "the same", []string{"pause ID", "unready", "unpause ID"}},
		{"disconnected", "the same", []string{"network disconnect -f " + network + " OWNER"}},
		{"its network's owner restarted", "another", []string{"restart -t 1 OWNER"}},
		{"pruned", "the same", []string{"container prune -f --filter label=skiff.instance=" + i.Options.Name}},
	} {
		before := oneReady(t, i)
		for _, line := range injury.commands {
			if line == "unready" {
				i.WaitPods(t, "app=web", func(pods []corev1.Pod) bool { return len(pods) == 1 && !podReady(&pods[0]) })
				continue
			}
			if strings.Contains(line, "OWNER") {
				line = strings.ReplaceAll(line, "OWNER", networkOwner(t, network, &before))
			}
			dockerDo(t, strings.ReplaceAll(line, "ID", containerID(&before)))
		}
		// What is the same container again was out of service in between, if at all
		// for so short a time that nobody can wait for it: its answers count.
		eventually(t, "the Pod serves again, "+injury.name, func() bool {
			now := oneReady(t, i)
			return now.UID == before.UID && (containerID(&now) == containerID(&before)) == (injury.same == "the same") && answers(t, now.Status.PodIP)
		})
		after := oneReady(t, i)
		if after.Status.PodIP != before.Status.PodIP {
			t.Errorf("%s: the address was %s and is %s", injury.name, before.Status.PodIP, after.Status.PodIP)
		}
		t.Logf("%s: %s container, restart count %d", injury.name, injury.same, after.Status.ContainerStatuses[0].RestartCount)
	}
}

// awaitStandby waits until the Pod's sandbox stands by.
func awaitStandby(tb testing.TB, pod *corev1.Pod) (id string) {
	tb.Helper()
	eventually(tb, "a sandbox stands by", func() bool {
		id = strings.TrimSpace(dockerDo(tb, "ps -q --no-trunc --filter label=io.kubernetes.container.name=POD --filter label=io.kubernetes.pod.uid="+string(pod.UID)))
		return id != ""
	})
	return id
}

// TestSandboxTakesOver: the sandbox that stands by has the Pod's address and names
// when the container is restarted, as the container itself had them.
func TestSandboxTakesOver(t *testing.T) {
	t.Parallel()
	images(t)
	i := skifftest.New(t)
	pod, err := i.Client.CoreV1().Pods("default").Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "steady"},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: ptr.To[int64](1),
			HostAliases:                   []corev1.HostAlias{{IP: "10.1.2.3", Hostnames: []string{"old-db"}}},
			SecurityContext:               &corev1.PodSecurityContext{Sysctls: []corev1.Sysctl{{Name: "net.ipv4.ip_local_port_range", Value: "20000 30000"}}},
			Containers: []corev1.Container{{
				Name: "app", Image: "skiff-example/tools:1", ImagePullPolicy: corev1.PullNever, Command: []string{"sleep", "1000"},
			}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	inside := func() (id, seen string) {
		now := i.WaitPod(t, "steady", podReady)
		id = containerID(now)
		for _, look := range []string{"cat /etc/hosts", "hostname", "hostname -i", "cat /proc/sys/net/ipv4/ip_local_port_range", "cat /etc/resolv.conf"} {
			seen += dockerDo(t, "exec "+id+" "+look) + "\n"
		}
		return id, seen
	}
	first, before := inside()
	box := awaitStandby(t, pod)
	dockerDo(t, "kill "+first)
	i.WaitPod(t, "steady", func(p *corev1.Pod) bool { return podReady(p) && p.Status.ContainerStatuses[0].RestartCount == 1 })
	second, after := inside()
	if before != after || !strings.Contains(after, pod.Name) {
		t.Errorf("inside it was\n%s\nand is\n%s", before, after)
	}
	if mode := dockerDo(t, "inspect -f {{.HostConfig.NetworkMode}} "+second); strings.TrimSpace(mode) != "container:"+box {
		t.Errorf("the next attempt is in %s, want %s", mode, box)
	}
}

// TestRestartedByDocker: skiff and docker both see to it that what docker has ended
// runs again. One of the two runs in the end, whoever was first, and is in service.
func TestRestartedByDocker(t *testing.T) {
	t.Parallel()
	images(t)
	for name, change := range map[string]func(*appsv1.Deployment){"own network": func(*appsv1.Deployment) {}, "sandbox": withSandbox} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := skifftest.New(t)
			i.Deploy(t, web(1, change))
			for n := range 3 { // from the second on, skiff's own restart waits for the back-off
				before, begin := oneReady(t, i), time.Now()
				if out, err := exec.CommandContext(t.Context(), "docker", "restart", "-t", "1", containerID(&before)).CombinedOutput(); err != nil {
					t.Logf("skiff was first: %s", out)
				}
				eventually(t, "the Pod serves again", func() bool {
					now := oneReady(t, i)
					cs := now.Status.ContainerStatuses[0]
					running := dockerDo(t, "ps -q --no-trunc --filter label=io.kubernetes.container.name=web --filter label=io.kubernetes.pod.uid="+string(before.UID))
					return now.UID == before.UID && cs.State.Running != nil && !cs.State.Running.StartedAt.Time.Before(begin.Truncate(time.Second)) &&
						strings.TrimSpace(running) == containerID(&now) && answers(t, now.Status.PodIP)
				})
				t.Logf("restart %d: the same container %t", n+1, containerID(&before) == containerID(ptr.To(oneReady(t, i))))
			}
		})
	}
}

// TestStartedByDocker: a Pod that has failed stays so, whatever docker starts of it.
func TestStartedByDocker(t *testing.T) {
	t.Parallel()
	images(t)
	i := skifftest.New(t)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "over"}, Spec: corev1.PodSpec{
		RestartPolicy:                 corev1.RestartPolicyNever,
		TerminationGracePeriodSeconds: ptr.To[int64](1),
		Containers: []corev1.Container{{
			Name: "app", Image: "skiff-example/tools:1", ImagePullPolicy: corev1.PullNever,
			Command: []string{"sh", "-c", "test -e /once && exec sleep 1000; touch /once; exit 3"},
		}},
	}}
	if _, err := i.Client.CoreV1().Pods("default").Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	before := i.WaitPod(t, "over", func(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodFailed })
	inspect := "inspect --format {{.State.Running}},{{.State.StartedAt}} " + containerID(before)
	first := dockerDo(t, inspect)
	dockerDo(t, "start "+containerID(before))
	eventually(t, "it has ended again", func() bool {
		now := dockerDo(t, inspect)
		return now != first && strings.HasPrefix(now, "false")
	})
	if after := i.WaitPod(t, "over", func(*corev1.Pod) bool { return true }); after.ResourceVersion != before.ResourceVersion {
		t.Errorf("the Pod is told of as %+v, before %+v", after.Status, before.Status)
	}
}

func oneReady(t *testing.T, i *skifftest.Instance) corev1.Pod {
	t.Helper()
	return i.WaitPods(t, "app=web", func(pods []corev1.Pod) bool { return len(pods) == 1 && podReady(&pods[0]) })[0]
}

func containerID(p *corev1.Pod) string {
	return strings.TrimPrefix(p.Status.ContainerStatuses[0].ContainerID, "docker://")
}

// networkOwner is the one container of a Pod that is on a network: its sandbox,
// which it has after restarts, or its only container.
func networkOwner(t *testing.T, network string, p *corev1.Pod) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "docker", "ps", "-q", "--no-trunc",
		"--filter", "network="+network, "--filter", "label=io.kubernetes.pod.uid="+string(p.UID)).Output()
	owners := strings.Fields(string(out))
	if err != nil || len(owners) != 1 {
		t.Fatalf("containers of Pod %s on network %s: %v, %v", p.Name, network, owners, err)
	}
	return owners[0]
}

// answers says whether the Pod's port does, within a moment.
func answers(t *testing.T, ip string) bool {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s:8080/", ip), nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return false
	}
	answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// dockerDo runs one of docker's commands, on containers of the test's own, and gives
// what it says.
func dockerDo(t testing.TB, line string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "docker", strings.Fields(line)...).CombinedOutput()
	if err != nil {
		t.Fatalf("docker %s: %v: %s", line, err, out)
	}
	return string(out)
}

// TestSurvivesAReboot: skiff gone, all containers stopped, skiff started again.
// The Pods are the same, at the same addresses, with what they had in their
// volumes, and init containers run again, as in every new sandbox.
func TestSurvivesAReboot(t *testing.T) {
	t.Parallel()
	images(t)
	i := skifftest.New(t)
	before := life{t, i}.run("init.yaml", podReady)
	if err := i.Stop(); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "docker", "ps", "-q", "--filter", "label=skiff.instance="+i.Options.Name).Output()
	if err != nil {
		t.Fatal(err)
	}
	dockerDo(t, "kill "+strings.Join(strings.Fields(string(out)), " "))
	again := life{t, skifftest.Start(t, i.Options)}
	t.Cleanup(func() {
		if err := again.Stop(); err != nil {
			t.Errorf("stop again: %v", err)
		}
	})
	after := again.WaitPods(t, "test=init", func(pods []corev1.Pod) bool {
		return len(pods) == 1 && podReady(&pods[0]) && pods[0].Status.ContainerStatuses[0].RestartCount == 1
	})[0]
	if after.UID != before.UID || after.Status.PodIP != before.Status.PodIP {
		t.Errorf("the Pod came back as %s at %s, was %s at %s", after.UID, after.Status.PodIP, before.UID, before.Status.PodIP)
	}
	again.says("init", "app", "first\nsecond\nfirst\nsecond\n", "life", "cat", "/data/steps")
	if err := again.Client.CoreV1().Pods("default").Delete(t.Context(), "init", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	again.WaitPods(t, "test=init", func(pods []corev1.Pod) bool { return len(pods) == 0 })
}

// lifeHangingProbe: a check that never returns, like a server, costs its container
// its life as one that fails does.
func lifeHangingProbe(l life) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "hangs"}, Spec: corev1.PodSpec{
		TerminationGracePeriodSeconds: ptr.To[int64](1),
		Containers: []corev1.Container{{
			Name: "app", Image: "skiff-example/life:1", Args: []string{"cat"}, Stdin: true, // which nobody writes to
			LivenessProbe: &corev1.Probe{
				ProbeHandler:  corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"life", "serve"}}},
				PeriodSeconds: 1, TimeoutSeconds: 1, FailureThreshold: 2,
			},
		}},
	}}
	if _, err := l.Client.CoreV1().Pods("default").Create(l.Context(), pod, metav1.CreateOptions{}); err != nil {
		l.Fatal(err)
	}
	pod = l.WaitPod(l.T, "hangs", func(p *corev1.Pod) bool {
		return len(p.Status.ContainerStatuses) == 1 && p.Status.ContainerStatuses[0].RestartCount > 0
	})
	if last := pod.Status.ContainerStatuses[0].LastTerminationState.Terminated; last == nil || last.ExitCode == 0 {
		l.Errorf("the container whose check hangs ended like that: %+v", last)
	}
	l.WaitEvent(l.T, "Unhealthy", `Liveness probe failed: command "life serve" timed out after 1s`)
	l.WaitEvent(l.T, "Killing", "Container app failed liveness probe, will be restarted")
	if err := l.Client.CoreV1().Pods("default").Delete(l.Context(), "hangs", metav1.DeleteOptions{}); err != nil {
		l.Fatal(err)
	}
}
