package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// TestReceiptOfWhatWasWaitedFor: the receipt of an earlier rollout is no answer
// to who waits for something else.
func TestReceiptOfWhatWasWaitedFor(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.run(t, "", "create", "-f", c.write(t, "web.yaml", webAndService))
	c.stuck(t)
	c.writeReceipt(t, 1)
	c.complete(t)
	const done = "deployment \"web\" successfully rolled out\n"
	if got, want := c.run(t, "", "rollout", "status", "deployment/web"), (result{done + "receipt 1\n", "", 0}); got != want {
		t.Errorf("after the rollout: got %+v, want %+v", got, want)
	}

	c.run(t, "", "scale", "deployment/web", "--replicas=3")
	if got := c.statusMeanwhile(t, func() { c.complete(t) }); got != done {
		t.Errorf("of more replicas: got %q, want %q", got, done)
	}

	c.run(t, "", "scale", "deployment/web", "--replicas=4")
	if got := c.statusMeanwhile(t, func() { c.writeReceipt(t, 2); c.complete(t) }); got != done+"receipt 2\n" {
		t.Errorf("of a rollout: got %q, want %q", got, done+"receipt 2\n")
	}
}

// statusMeanwhile has "rollout status" wait, and gives what it says from the
// moment on at which it does.
func (c *cluster) statusMeanwhile(t *testing.T, do func()) string {
	t.Helper()
	out, in := io.Pipe()
	go func() {
		run(t.Context(), []string{"skiff", "--kubeconfig", c.kubeconfig, "rollout", "status", "deployment/web"},
			genericiooptions.IOStreams{In: strings.NewReader(""), Out: in, ErrOut: in})
		_ = in.Close()
	}()
	lines := bufio.NewReader(out)
	if line, err := lines.ReadString('\n'); err != nil || !strings.HasPrefix(line, "Waiting for ") {
		t.Errorf("rollout status begins with %q (%v)", line, err)
	}
	do()
	said, err := io.ReadAll(lines)
	if err != nil {
		t.Error(err)
	}
	return string(said)
}

func (c *cluster) writeReceipt(t *testing.T, revision int) {
	t.Helper()
	patch := fmt.Sprintf(`{"metadata": {"annotations": {"deployment.kubernetes.io/revision": "%d", "skiff.dev/rollout-receipt":
		"{\"revision\": %[1]d, \"began\": \"2024-01-01T00:00:00Z\", \"ended\": \"2024-01-01T00:00:0%[1]dZ\", \"text\": \"receipt %[1]d\"}"}}}`, revision)
	if _, err := c.client.AppsV1().ReplicaSets("default").Patch(t.Context(), "web-abc", types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

// complete writes down that all that is asked for is there.
func (c *cluster) complete(t *testing.T) {
	t.Helper()
	deployments := c.client.AppsV1().Deployments("default")
	d, err := deployments.Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	n := *d.Spec.Replicas
	d.Status = appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: n, UpdatedReplicas: n, AvailableReplicas: n, ReadyReplicas: n}
	if _, err := deployments.UpdateStatus(t.Context(), d, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}
