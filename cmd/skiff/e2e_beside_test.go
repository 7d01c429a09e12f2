package main_test

import (
	"errors"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// slowToStop takes long enough to stop for a command to see it.
const slowToStop = `apiVersion: v1
kind: Pod
metadata: {name: slow, labels: {app: slow}}
spec:
  containers:
  - name: life
    image: skiff-example/life:1
    args: [serve]
    lifecycle: {preStop: {sleep: {seconds: 3}}}
`

var alreadyRuns = regexp.MustCompile(`^skiff is already running \(process \d+\)\n$`)

// TestUpBesideOthers: a start waits for another command that starts or stops the
// same instance, and then does what is left to do.
func TestUpBesideOthers(t *testing.T) {
	t.Parallel()
	i := newInstance(t)
	results := make([]result, 4)
	var starting sync.WaitGroup
	for n := range results {
		starting.Go(func() { results[n] = try(t, i.skiff, "up", "-d", "--listen", "127.0.0.1:0") })
	}
	starting.Wait()
	started := 0
	for _, r := range results {
		if strings.HasPrefix(r.out, "API ready in ") {
			started++
		} else if !alreadyRuns.MatchString(r.out) {
			t.Errorf("up -d beside others: %v", r)
		}
		if r.code != 0 || r.err != "" {
			t.Errorf("up -d beside others: %v", r)
		}
	}
	if started != 1 {
		t.Errorf("%d of %d commands have started the instance", started, len(results))
	}
	if log := read(t, i.paths().Log); strings.Contains(log, "running") {
		t.Errorf("the log of the one that runs has what others say:\n%s", log)
	}

	must(t, i.skiff, "create", "-f", i.write(t, "slow.yaml", slowToStop))
	i.readyPods(t, "app=slow", 1)
	down := follow(t, i.skiff(t.Context(), "down"))
	eventually(t, func() error {
		if !strings.Contains(read(t, i.paths().Log), "stopping the containers") {
			return errors.New("it does not stop yet")
		}
		return nil
	})
	if r := try(t, i.skiff, "up", "-d", "--listen", "127.0.0.1:0"); r.code != 0 || !strings.HasPrefix(r.out, "API ready in ") {
		t.Errorf("up -d while it stops: %v", r)
	}
	down.until("skiff stopped")
	i.readyPods(t, "app=slow", 1)
	if r := try(t, i.skiff, "up", "--listen", "127.0.0.1:0"); r.code != 1 || !strings.Contains(r.err, "is already running") {
		t.Errorf("up while it runs again: %v", r)
	}
}
