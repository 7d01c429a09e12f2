package docker

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	dockercontainer "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"

	"skiff/runtime/container"
)

// bringProgram gives the engine the test application as skiff's program, and says
// where it is.
func bringProgram(t *testing.T, e *Engine) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "app")
	build := exec.Command("go", "build", "-o", program, "./testdata/app")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build test application: %v\n%s", err, out)
	}
	e.program, e.image = program, programImage{}
	return program
}

// newGateway is a gateway that runs the test application.
func newGateway(t *testing.T, e *Engine, args ...string) *Gateway {
	t.Helper()
	bringProgram(t, e)
	ranges, err := container.Split(e.Subnet())
	if err != nil {
		t.Fatal(err)
	}
	return e.Gateway(GatewaySpec{Args: args, Address: ranges.Gateway})
}

// A container that only has the gateway's name is left alone.
func TestGatewayOfSomebodyElse(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	g := newGateway(t, e, "serve")
	for name, labels := range map[string]map[string]string{
		"no labels":             nil,
		"another instance's":    {labelInstance: e.instance, labelUID: "another", labelGateway: "true"},
		"a Pod of the instance": e.labels(),
	} {
		made, err := e.api.ContainerCreate(t.Context(), &dockercontainer.Config{Image: testImage, Labels: labels}, nil, nil, nil, g.name())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.Remove(context.Background(), made.ID) })
		for what, err := range map[string]error{"start": g.Start(t.Context()), "remove": g.Remove(t.Context())} {
			if !errors.Is(err, container.ErrConflict) || !strings.Contains(err.Error(), "not this instance's gateway") {
				t.Errorf("%s, %s: %v, want a conflict", name, what, err)
			}
		}
		if running, _, err := g.Running(t.Context()); running || err != nil {
			t.Errorf("%s: running %v, %v", name, running, err)
		}
		if _, err := e.inspect(t.Context(), made.ID); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := e.Remove(t.Context(), made.ID); err != nil {
			t.Fatal(err)
		}
	}
}

// The gateway of before serves on where the new one's image cannot be had.
func TestGatewayUpgradeFails(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	next, before := anotherGateway(t, e)
	if _, err := e.programImage(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(e.program); err != nil {
		t.Fatal(err)
	}
	if err := next.Start(t.Context()); err == nil {
		t.Fatal("started without its program")
	}
	after, err := next.find(t.Context())
	if err != nil || after.ID != before.ID || !after.State.Running {
		t.Errorf("the gateway of before: %+v, %v", after.ContainerJSONBase, err)
	}
}

// One that was made and not started, because skiff ended in between, is started
// next, or removed, with or without the instance.
func TestGatewayMadeOnly(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	g := newGateway(t, e, "serve")
	for name, next := range map[string]func() error{
		"start":  func() error { return g.Start(t.Context()) },
		"remove": func() error { return g.Remove(t.Context()) },
		"purge":  func() error { return e.purgeContainers(t.Context()) },
	} {
		image, err := e.programImage(t.Context())
		if err == nil {
			err = e.ensureGatewayImage(t.Context(), image)
		}
		if err != nil {
			t.Fatal(err)
		}
		made, err := g.create(t.Context(), image)
		if err != nil {
			t.Fatal(err)
		}
		if running, _, err := g.Running(t.Context()); running || err != nil {
			t.Errorf("it runs: %t, %v", running, err)
		}
		if err := next(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		found, err := g.find(t.Context())
		if started := name == "start"; started && (err != nil || found.ID != made || !found.State.Running) || !started && !errors.Is(err, container.ErrNotFound) {
			t.Errorf("%s: %+v, %v", name, found.ContainerJSONBase, err)
		}
		if err := g.Remove(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestGatewayStaysThroughAnUpgrade: another skiff goes on with the gateway that
// runs, which forwards between Pods; the next one that is started is its own.
func TestGatewayStaysThroughAnUpgrade(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	next, before := anotherGateway(t, e)
	if running, fit, err := next.Running(t.Context()); err != nil || !running || !fit {
		t.Errorf("after the upgrade: running %v, fit %v, %v", running, fit, err)
	}
	if err := e.api.ContainerKill(t.Context(), next.name(), "KILL"); err != nil {
		t.Fatal(err)
	}
	if err := next.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	after, err := next.find(t.Context())
	if err != nil || after.Config.Image == before.Config.Image {
		t.Errorf("started again: image %s, before it %s, %v", after.Config.Image, before.Config.Image, err)
	}
	other := e.Gateway(GatewaySpec{Args: []string{"serve", "differently"}, Address: next.spec.Address})
	if running, fit, err := other.Running(t.Context()); err != nil || !running || fit {
		t.Errorf("one that is specified differently: running %v, fit %v, %v", running, fit, err)
	}
}

// anotherGateway is that of another skiff, whose program is another one, while
// the one of before runs.
func anotherGateway(t *testing.T, e *Engine) (next *Gateway, before dockercontainer.InspectResponse) {
	t.Helper()
	old := newGateway(t, e, "serve")
	if err := old.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	before, err := old.find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	next = newGateway(t, e, "serve")
	program, err := os.OpenFile(e.program, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = program.WriteString(e.instance)
	if err = errors.Join(err, program.Close()); err != nil {
		t.Fatal(err)
	}
	return next, before
}

// What docker's user did to the gateway is undone.
func TestGatewayRepaired(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	g := newGateway(t, e, "serve")
	disconnect := func() error { return e.api.NetworkDisconnect(t.Context(), e.networkName(), g.name(), true) }
	for name, injure := range map[string]func() error{
		"nothing":      func() error { return nil },
		"paused":       func() error { return e.api.ContainerPause(t.Context(), g.name()) },
		"disconnected": disconnect,
		"stopped":      func() error { return e.api.ContainerKill(t.Context(), g.name(), "KILL") },
		"another address": func() error {
			return errors.Join(disconnect(), e.api.NetworkConnect(t.Context(), e.networkName(), g.name(), nil))
		},
		"stopped and disconnected": func() error {
			return errors.Join(e.api.ContainerKill(t.Context(), g.name(), "KILL"), disconnect())
		},
	} {
		if err := g.Start(t.Context()); err != nil {
			t.Fatalf("before %s: %v", name, err)
		}
		if err := injure(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, fit, err := g.Running(t.Context()); err != nil || fit != (name == "nothing") {
			t.Errorf("%s: fit %v, %v", name, fit, err)
		}
		if err := g.Start(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if running, fit, err := g.Running(t.Context()); err != nil || !running || !fit {
			t.Errorf("after %s: running %v, fit %v, %v", name, running, fit, err)
		}
	}
}

// TestReferences: an image whose name has gone to another one is removed, too.
func TestReferences(t *testing.T) {
	for name, test := range map[string]struct{ tags, want []string }{
		"tagged":              {[]string{"skiff/gateway:1"}, []string{"skiff/gateway:1"}},
		"tagged twice":        {[]string{"skiff/gateway:1", "mine:1"}, []string{"skiff/gateway:1", "mine:1"}},
		"untagged":            {nil, []string{"sha256:1"}},
		"untagged, by engine": {[]string{"<none>:<none>"}, []string{"sha256:1"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := references(image.Summary{ID: "sha256:1", RepoTags: test.tags}); !slices.Equal(got, test.want) {
				t.Errorf("an image with tags %v is removed as %v, want %v", test.tags, got, test.want)
			}
		})
	}
}
