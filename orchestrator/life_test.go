package orchestrator_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	osexec "os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/util/exec"
	"sigs.k8s.io/yaml"

	"skiff/orchestrator/porttest"
	"skiff/orchestrator/skifftest"
)

// life is an instance on which the manifests of examples/life are run.
type life struct {
	*testing.T
	*skifftest.Instance
}

// run makes the manifest's Pod, with some of its text changed, and waits until
// it is as it should be.
func (l life) run(file string, done func(*corev1.Pod) bool, change ...string) *corev1.Pod {
	l.Helper()
	text, err := os.ReadFile(filepath.Join("../examples/life", file))
	if err != nil {
		l.Fatal(err)
	}
	pod := &corev1.Pod{}
	if err := yaml.UnmarshalStrict([]byte(strings.NewReplacer(change...).Replace(string(text))), pod); err != nil {
		l.Fatal(err)
	}
	pod.Labels = map[string]string{"test": pod.Name}
	if _, err := l.Client.CoreV1().Pods("default").Create(l.Context(), pod, metav1.CreateOptions{}); err != nil {
		l.Fatal(err)
	}
	found := l.WaitPods(l.T, "test="+pod.Name, func(pods []corev1.Pod) bool { return len(pods) == 1 && done(&pods[0]) })
	return &found[0]
}

func podReady(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// exec runs a command in a Pod's container through the API.
func (l life) exec(pod, container string, in io.Reader, cmd ...string) (out, errOut string, code int) {
	l.Helper()
	out, errOut, err := l.try(pod, container, in, cmd...)
	var exit exec.CodeExitError
	switch {
	case errors.As(err, &exit):
		code = exit.Code
	case err != nil:
		l.Fatalf("exec %v: %v", cmd, err)
	}
	return out, errOut, code
}

// try is exec for a command whose container may end before anybody has heard how
// the command did.
func (l life) try(pod, container string, in io.Reader, cmd ...string) (out, errOut string, err error) {
	l.Helper()
	req := l.Client.CoreV1().RESTClient().Post().Resource("pods").Namespace("default").Name(pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Container: container, Command: cmd, Stdin: in != nil, Stdout: true, Stderr: true}, scheme.ParameterCodec)
	e, err := remotecommand.NewWebSocketExecutor(l.Config, http.MethodGet, req.URL().String())
	if err != nil {
		l.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	ctx, cancel := context.WithTimeout(l.Context(), 2*time.Minute)
	defer cancel()
	err = e.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: in, Stdout: &stdout, Stderr: &stderr})
	return stdout.String(), stderr.String(), err
}

func (l life) says(pod, container, want string, cmd ...string) {
	l.Helper()
	if out, _, _ := l.exec(pod, container, nil, cmd...); !strings.Contains(out, want) {
		l.Errorf("%s: %v says %q, which has no %q", pod, cmd, out, want)
	}
}

// TestLifeOfPods runs the manifests of examples/life and looks at the Pods from
// inside and outside.
func TestLifeOfPods(t *testing.T) {
	t.Parallel()
	images(t)
	instance := skifftest.New(t)
	checks := map[string]func(life){
		"init": lifeInit, "names": lifeNames, "host": lifeHost, "last-words": lifeLastWords, "deadline": lifeDeadline,
		"probes": lifeProbes, "hooks": lifeHooks, "replicaset": lifeReplicaSet, "restart": lifeRestart, "private": lifePrivate, "hanging probe": lifeHangingProbe,
	}
	allOf(t, "../examples/life", slices.Collect(maps.Keys(checks))...)
	for name, check := range checks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(life{t, instance})
		})
	}
}

func lifeInit(l life) {
	pod := l.run("init.yaml", podReady)
	l.says("init", "app", "first\nsecond\n", "life", "cat", "/data/steps")
	st := pod.Status.InitContainerStatuses
	if len(st) != 3 || st[0].State.Terminated == nil || st[1].State.Running == nil || st[2].State.Terminated == nil {
		l.Fatalf("init containers are %+v", st)
	}
	if st[2].State.Terminated.FinishedAt.Before(&st[0].State.Terminated.FinishedAt) {
		l.Error("the second init container ended before the first")
	}
	out, err := l.Client.CoreV1().Pods("default").GetLogs("init", &corev1.PodLogOptions{Container: "first"}).DoRaw(l.Context())
	if err != nil || string(out) != "did first\n" {
		l.Errorf("log of an init container: %q, %v", out, err)
	}
	if out, errOut, code := l.exec("init", "app", strings.NewReader("there and back"), "life", "cat"); out != "there and back" || errOut != "" || code != 0 {
		l.Errorf("cat answers %q, %q, %d", out, errOut, code)
	}
	if _, _, code := l.exec("init", "app", nil, "life", "exit", "7"); code != 7 {
		l.Errorf("exit code is %d", code)
	}
	l.resolves("init", true)
	if got := l.forwarded(pod, 8080); got != "init\n" {
		l.Errorf("through the forwarded port: %q", got)
	}
}

func lifeNames(l life) {
	l.run("names.yaml", podReady)
	l.says("names", "app", "10.1.2.3\told-db\n", "life", "cat", "/etc/hosts")
	l.says("names", "app", "db-0.db.default.svc.cluster.local", "life", "cat", "/etc/hostname")
	if out, _, _ := l.exec("names", "app", nil, "life", "cat", "/etc/resolv.conf"); out != "nameserver 10.1.2.4\nsearch example.com\noptions ndots:2\n" {
		l.Errorf("resolv.conf is %q", out)
	}
	l.says("names", "app", "1 /pause\n", "life", "ps")
	l.run("names.yaml", podReady, "name: names", "name: machine-names", "dnsPolicy: None", "dnsPolicy: Default",
		"nameservers: [10.1.2.4]", "", "searches: [example.com]", "", `options: [{name: ndots, value: "2"}]`, "")
	l.resolves("machine-names", false)
}

// resolves fails the test unless the Pod asks who it should for names.
func (l life) resolves(pod string, inCluster bool) {
	l.Helper()
	out, _, _ := l.exec(pod, "app", nil, "life", "cat", "/etc/resolv.conf")
	if strings.Contains(out, "search default.svc.cluster.local svc.cluster.local cluster.local") != inCluster || out == "" {
		l.Errorf("resolv.conf of %s is %q", pod, out)
	}
}

func lifeHost(l life) {
	// The machine's ports are everybody's: the manifest's own may be taken.
	port := porttest.Free(l.T)
	pod := l.run("host.yaml", podReady, "38080", strconv.Itoa(port))
	if pod.Status.PodIP != pod.Status.HostIP || pod.Status.HostIP == "" {
		l.Errorf("podIP is %q, hostIP %q", pod.Status.PodIP, pod.Status.HostIP)
	}
	l.resolves("host", false)                               // ClusterFirst is Default on the machine's network
	shared, err := os.CreateTemp("/dev/shm", "skiff-test-") // which is the IPC namespace's
	if err != nil {
		l.Fatal(err)
	}
	defer os.Remove(shared.Name())
	if err := errors.Join(shared.Close(), os.WriteFile(shared.Name(), []byte("shared"), 0o644)); err != nil {
		l.Fatal(err)
	}
	l.says("host", "app", "shared", "life", "cat", shared.Name())
	// The test is a process of the machine, too.
	l.says("host", "app", fmt.Sprintf("\n%d ", os.Getpid()), "life", "ps")
	answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", port))
	if err != nil {
		l.Fatal(err)
	}
	answer.Body.Close()
	if got := l.forwarded(pod, port); got == "" {
		l.Error("nothing comes through the forwarded port")
	}
	l.run("host.yaml", podReady, "38080", strconv.Itoa(porttest.Free(l.T)), "name: host", "name: host-of-cluster",
		"hostNetwork: true", "hostNetwork: true\n  dnsPolicy: ClusterFirstWithHostNet")
	l.resolves("host-of-cluster", true)
}

func lifeLastWords(l life) {
	pod := l.run("last-words.yaml", func(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodFailed })
	words := map[string]string{}
	for _, cs := range pod.Status.ContainerStatuses {
		words[cs.Name] = cs.State.Terminated.Message
	}
	if words["file"] != "the disk is full" {
		l.Errorf("from the file: %q", words["file"])
	}
	if !strings.HasSuffix(words["log"], "something is wrong 99\n") || len(words["log"]) > 2048 || strings.Count(words["log"], "\n") > 80 {
		l.Errorf("from the log: %q", words["log"])
	}
}

func lifeDeadline(l life) {
	pod := l.run("deadline.yaml", func(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodFailed })
	if pod.Status.Reason != "DeadlineExceeded" || pod.Status.ContainerStatuses[0].State.Terminated == nil {
		l.Errorf("status is %+v", pod.Status)
	}
}

// lifeRestart: a container asks by its exit code to be started again, alone or
// with all others, and a Pod gets ready once somebody opens its gate.
func lifeRestart(l life) {
	l.Apply(l.T, "../examples/life/restart.yaml")
	l.WaitPod(l.T, "rules", func(p *corev1.Pod) bool {
		return len(p.Status.ContainerStatuses) == 1 && p.Status.ContainerStatuses[0].RestartCount > 0
	})
	lifeTogether(l)
	gated := l.WaitPod(l.T, "gated", running)
	if podReady(gated) {
		l.Error("the Pod is ready although its gate is shut")
	}
	opened := []byte(`{"status": {"conditions": [{"type": "example.com/open", "status": "True"}]}}`)
	if _, err := l.Client.CoreV1().Pods("default").Patch(l.Context(), "gated", types.StrategicMergePatchType, opened, metav1.PatchOptions{}, "status"); err != nil {
		l.Fatal(err)
	}
	l.WaitPod(l.T, "gated", podReady)
}

func lifeTogether(l life) {
	before := l.WaitPod(l.T, "together", podReady)
	sandboxes := sandboxesOf(l, before)
	if _, _, err := l.try("together", "app", nil, "life", "work", "/data/again", "please"); err != nil {
		l.Logf("the request to restart ended with its container: %v", err)
	}
	after := l.WaitPod(l.T, "together", func(p *corev1.Pod) bool {
		return podReady(p) && !slices.ContainsFunc(slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses),
			func(cs corev1.ContainerStatus) bool { return cs.RestartCount != 1 })
	})
	l.says("together", "app", "prepared\nprepared\n", "life", "cat", "/data/steps")
	if after.Status.PodIP != before.Status.PodIP || !slices.Equal(sandboxesOf(l, after), sandboxes) {
		l.Errorf("the Pod has another network: %s, before %s", after.Status.PodIP, before.Status.PodIP)
	}
	for name, want := range map[string]string{"app": "0 RestartingAllContainers", "watcher": "88 Error"} {
		for _, cs := range after.Status.ContainerStatuses {
			if end := cs.LastTerminationState.Terminated; cs.Name == name && (end == nil || fmt.Sprint(end.ExitCode, " ", end.Reason) != want) {
				l.Errorf("the last end of %s is %+v, want %s", name, end, want)
			}
		}
	}
	out, err := l.Client.CoreV1().Pods("default").GetLogs("together", &corev1.PodLogOptions{Container: "app", Previous: true}).DoRaw(l.Context())
	if err != nil || !strings.HasSuffix(string(out), "bye\n") {
		l.Errorf("what the last app said: %q, %v", out, err)
	}
}

// sandboxesOf lists the containers that hold a Pod's network.
func sandboxesOf(l life, pod *corev1.Pod) []string {
	l.Helper()
	out, err := osexec.CommandContext(l.Context(), "docker", "ps", "-q", "--filter", "label=io.kubernetes.pod.uid="+string(pod.UID),
		"--filter", "label=io.kubernetes.container.name=POD").Output()
	if err != nil {
		l.Fatal(err)
	}
	return strings.Fields(string(out))
}
