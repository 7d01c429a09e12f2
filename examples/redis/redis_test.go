package redis_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/orchestrator/skifftest"
)

// Redis is upgraded, and the upgrade taken back, under its official client,
// which sees a pause and no error and finds all that was acknowledged.
func TestUpgradeUnderTheOfficialClient(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "client")
	if out, err := exec.CommandContext(t.Context(), "go", "-C", "client", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build the client: %v\n%s", err, out)
	}
	i := skifftest.New(t)
	i.Apply(t, "redis.yaml")
	i.WaitRollout(t, "redis")
	svc, err := i.Client.CoreV1().Services(skifftest.Namespace).Get(t.Context(), "redis", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}

	client := exec.CommandContext(t.Context(), binary, "-address", fmt.Sprintf("127.0.0.1:%d", svc.Spec.Ports[0].NodePort))
	var out, problems bytes.Buffer
	client.Stdout, client.Stderr = &out, &problems
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	for _, release := range []string{"2", "1"} {
		i.Update(t, "redis", func(d *appsv1.Deployment) {
			d.Spec.Template.Spec.Containers[0].Image = "skiff-example/redis:" + release
		})
		i.WaitRollout(t, "redis")
		// That it is the new server is seen by its configuration.
		want := map[string]string{"1": "104857600", "2": "209715200"}[release]
		if got := ask(t, i, "config", "get", "maxmemory"); got != "maxmemory "+want {
			t.Errorf("release %s has %q", release, got)
		}
	}
	if err := client.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := client.Wait(); err != nil {
		t.Errorf("the client: %v: %s", err, problems.String())
	}
	var seen struct{ Writes, Failed, LongestWaitMs, Found int }
	if err := json.Unmarshal(out.Bytes(), &seen); err != nil {
		t.Fatalf("read %q: %v", out.String(), err)
	}
	if seen.Writes == 0 || seen.Failed > 0 || seen.Found != seen.Writes {
		t.Errorf("the client saw %s", out.String())
	}
	t.Logf("%+v", seen)
}

// ask puts a command to the one server that runs, past any Service.
func ask(t *testing.T, i *skifftest.Instance, command ...string) string {
	t.Helper()
	pods := i.WaitPods(t, "app=redis", func(pods []corev1.Pod) bool { return len(pods) == 1 && len(pods[0].Status.ContainerStatuses) == 1 })
	id := strings.TrimPrefix(pods[0].Status.ContainerStatuses[0].ContainerID, "docker://")
	out, err := exec.CommandContext(t.Context(), "docker", append([]string{"exec", id, "redis-cli"}, command...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("ask redis: %v: %s", err, out)
	}
	return strings.Join(strings.Fields(string(out)), " ")
}
