package main

import (
	"strings"
	"testing"
)

// TestApplyByServer goes on with what skiff has applied by itself before.
func TestApplyByServer(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	first := c.write(t, "first.yaml", webAndService)
	second := c.write(t, "second.yaml", strings.Replace(webAndService, "web:1", "web:2", 1))
	const of = "get deployment web -o jsonpath={.spec.template.spec.containers[0].image}"
	for _, step := range []struct {
		args string
		want result
	}{
		{"apply -f " + first, result{"deployment.apps/web created\nservice/web created\n", "", 0}},
		{"apply --server-side -f " + second, result{"deployment.apps/web serverside-applied\nservice/web serverside-applied\n", "", 0}},
		{of, result{"web:2", "", 0}},
		{"apply -f " + first, result{"deployment.apps/web configured\nservice/web configured\n", "", 0}},
		{of, result{"web:1", "", 0}},
	} {
		if got := c.run(t, "", strings.Fields(step.args)...); got != step.want {
			t.Errorf("%s: %+v, want %+v", step.args, got, step.want)
		}
	}
}
