package main_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"skiff/runtime/container"
)

// docker asks the engine as a user would, past skiff.
func docker(t testing.TB, args ...string) string {
	t.Helper()
	return dockerAt(t, "", args...)
}

// docker asks the instance's engine.
func (i *instance) docker(t testing.TB, args ...string) string {
	t.Helper()
	return dockerAt(t, i.engine, args...)
}

// dockerAt asks the engine at an address; empty: the user's.
func dockerAt(t testing.TB, host string, args ...string) string {
	t.Helper()
	if host != "" {
		args = append([]string{"-H", host}, args...)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	r := finish(t, exec.CommandContext(ctx, "docker", args...))
	if r.code != 0 {
		t.Fatalf("docker %v: %v", args, r)
	}
	return r.out
}

var imagesBuilt = sync.OnceValue(func() error {
	out, err := exec.Command("docker", "image", "inspect", "skiff-example/web:1", "mongo:3.3", "mongo:3.5").CombinedOutput()
	if err != nil {
		return fmt.Errorf("an image is missing, run \"make images\" first: %s", out[bytes.LastIndexByte(bytes.TrimSpace(out), '\n')+1:])
	}
	return nil
})

func needImages(t *testing.T) {
	t.Helper()
	if err := imagesBuilt(); err != nil {
		t.Fatal(err)
	}
}

// onEngine lists everything on the engine that carries the instance's label.
func (i *instance) onEngine(t testing.TB) []string {
	t.Helper()
	label := "label=skiff.instance=" + i.name
	return strings.Fields(i.docker(t, "ps", "-a", "--filter", label, "--format", "container/{{.Names}}") +
		i.docker(t, "network", "ls", "--filter", label, "--format", "network/{{.Name}}") +
		i.docker(t, "volume", "ls", "--filter", label, "--format", "volume/{{.Name}}"))
}

// engineContainer is a container of a Pod of the instance, as the engine has it.
type engineContainer struct {
	ID, State, Pod, UID, Container string
}

func (i *instance) containers(t testing.TB) []engineContainer {
	t.Helper()
	out := i.docker(t, "ps", "-a", "--no-trunc", "--filter", "label=skiff.instance="+i.name, "--format",
		`{{if .Label "skiff.gateway"}}gateway {{end}}{{.ID}} {{.State}} {{.Label "io.kubernetes.pod.name"}} {{.Label "io.kubernetes.pod.uid"}} {{.Label "io.kubernetes.container.name"}}`)
	var all []engineContainer
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if strings.HasPrefix(line, "gateway ") {
			continue
		}
		if len(f) != 5 {
			t.Fatalf("a container whose Pod cannot be told from its labels: %q", line)
		}
		all = append(all, engineContainer{f[0], f[1], f[2], f[3], f[4]})
	}
	return all
}

// applications are the containers but for sandboxes, which may come to stand by at
// any time.
func (i *instance) applications(t testing.TB) []engineContainer {
	t.Helper()
	return slices.DeleteFunc(i.containers(t), func(c engineContainer) bool { return c.Container == container.SandboxName })
}

// engineEvent is one of the engine's own events about a container.
type engineEvent struct {
	Action string
	Actor  struct {
		ID         string
		Attributes map[string]string
	}
	TimeNano int64 `json:"timeNano"`
}

func (e engineEvent) at() time.Time { return time.Unix(0, e.TimeNano) }

func (e engineEvent) pod() string { return e.Actor.Attributes["io.kubernetes.pod.name"] }

// watchEngine gives the engine's events about the instance's containers until
// the test ends.
func (i *instance) watchEngine(t *testing.T) <-chan engineEvent {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, "docker", "events", "--format", "{{json .}}",
		"--since", fmt.Sprint(time.Now().Unix()), "--filter", "type=container", "--filter", "label=skiff.instance="+i.name)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		t.Fatalf("watch the engine: %v", err)
	}
	events := make(chan engineEvent, 1000)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer close(events)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var e engineEvent
			if json.Unmarshal(lines.Bytes(), &e) == nil {
				events <- e
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		_ = cmd.Wait()
	})
	return events
}

// await takes events until one is wanted.
func await(t *testing.T, events <-chan engineEvent, what string, wanted func(engineEvent) bool) engineEvent {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		select {
		case e, open := <-events:
			if !open {
				t.Fatalf("the engine's events ended before %s", what)
			}
			if wanted(e) {
				return e
			}
		case <-timeout.C:
			t.Fatalf("no event: %s", what)
		}
	}
}

// eventually repeats check, which looks at what gives no events, until it is
// content.
func eventually(t testing.TB, check func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %s: %v", patience, err)
		}
		<-tick.C
	}
}
