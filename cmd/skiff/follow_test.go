package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestDeleteWaits: what is leaving already keeps its version through another
// delete, and is waited for although the server does not remember that any more,
// as it remembers none after a restart.
func TestDeleteWaits(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.run(t, webAndService, "create", "-f", "-")
	c.run(t, strings.ReplaceAll(webAndService, "name: web", "name: other"), "create", "-f", "-")
	deployments := c.client.AppsV1().Deployments("default")
	finalize := func(text string) {
		t.Helper()
		if _, err := deployments.Patch(t.Context(), "web", types.MergePatchType, []byte(text), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	finalize(`{"metadata": {"finalizers": ["example.com/held"]}}`)
	const deleted = "deployment.apps \"web\" deleted from default namespace\n"
	if got, want := c.run(t, "", "delete", "deployment/web", "--wait=false"), (result{deleted, "", 0}); got != want {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	c.forget(t, "web", "other")

	want := result{deleted, "error: wait for the end of deployments/web: timed out after 1s\n", 1}
	if diff := cmp.Diff(want, c.run(t, "", "delete", "deployment/web", "--timeout=1s")); diff != "" {
		t.Errorf("it does not leave (-want +got):\n%s", diff)
	}
	gone := make(chan result, 1)
	go func() { gone <- c.run(t, "", "delete", "deployment/web", "--ignore-not-found") }()
	finalize(`{"metadata": {"finalizers": null}}`)
	if got := <-gone; got.Code != 0 || got.Err != "" {
		t.Errorf("it has left: %+v", got)
	}
}
