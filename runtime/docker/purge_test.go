package docker

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"skiff/runtime/container"
)

func TestPurge(t *testing.T) {
	t.Parallel()
	mine, other := newEngine(t), newEngine(t)
	box := func(e *Engine) string {
		s := spec(t, e)
		s.Name, s.ImageID = container.SandboxName, ""
		return start(t, e, s)
	}
	box(mine)
	theirs := box(other)
	start(t, mine, spec(t, mine, "serve"))
	for range 2 { // the second has nothing to do
		if err := mine.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := mine.List(t.Context()); err != nil || len(left) != 0 {
		t.Errorf("left after the purge: %v, %v", left, err)
	}
	if _, err := mine.findNetwork(t.Context()); !errors.Is(err, container.ErrNotFound) {
		t.Errorf("network after the purge: %v", err)
	}
	if s, err := other.Inspect(t.Context(), theirs); err != nil || s.State != container.Running {
		t.Errorf("the other instance's sandbox: %+v, %v", s, err)
	}
	ref, _, err := other.pauseImage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Image(t.Context(), ref); err != nil {
		t.Errorf("the other instance's pause image: %v", err)
	}
}

// An image whose name another one has taken goes, too.
func TestPurgeOfUntaggedImages(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	ref := gatewayRepository + ":" + e.instance
	var ids []string
	for _, content := range []string{"first", "second"} {
		image := programImage{ref: ref, arch: runtime.GOARCH, program: fileOf("skiff", []byte(content+e.instance))}
		eventually(t, "loaded", func() bool { // another instance's purge may come between
			if err := e.loadGateway(t.Context(), image); err != nil {
				t.Fatal(err)
			}
			i, err := e.Image(t.Context(), ref)
			ids = append(ids, i.ID)
			return err == nil
		})
	}
	if err := e.purgeGatewayImages(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, id := range slices.DeleteFunc(ids, func(id string) bool { return id == "" }) {
		if _, err := e.Image(t.Context(), id); !errors.Is(err, container.ErrNotFound) {
			t.Errorf("image %s after the purge: %v", id, err)
		}
	}
}

// Instances share skiff's own images: while many end and begin at once, these are
// removed and loaded in any order.
func TestPurgeOfManyAtOnce(t *testing.T) {
	t.Parallel()
	const many, rounds = 4, 20
	e := newInstance(t, fmt.Sprintf("test-ends-%d", os.Getpid()), "uid")
	ref := "skiff-test/ends:" + e.instance
	archive, err := imageArchive(ref, runtime.GOARCH, imageConfig{Entrypoint: []string{"/app"}})
	if err != nil {
		t.Fatal(err)
	}
	var loads, removals errgroup.Group
	var over atomic.Bool
	for range many {
		loads.Go(func() (err error) {
			for n := 0; n < rounds && err == nil; n++ {
				err = e.load(t.Context(), bytes.NewReader(archive))
			}
			return err
		})
		removals.Go(func() (err error) {
			for err == nil && !over.Load() {
				err = e.removeUnusedImage(t.Context(), ref)
			}
			return err
		})
	}
	if err := loads.Wait(); err != nil {
		t.Error(err)
	}
	over.Store(true)
	if err := removals.Wait(); err != nil {
		t.Error(err)
	}
	if err := e.removeUnusedImage(t.Context(), ref); err != nil {
		t.Error(err)
	}
}

// An engine can be wrong about who is in a network, which its own words hide.
func TestPurgeOfAMiscountedNetwork(t *testing.T) {
	t.Parallel()
	containers := `{"c1": {"Name": "somebody-else's"}}`
	engine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodDelete:
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"message": "network n1 has active endpoints"}`)
		case strings.HasSuffix(r.URL.Path, "/networks"):
			fmt.Fprint(w, `[{"Id": "n1", "Name": "skiff-test"}]`)
		default:
			fmt.Fprintf(w, `{"Id": "n1", "Name": "skiff-test", "Containers": %s}`, containers)
		}
	}))
	defer engine.Close()
	e, err := New(Options{Host: "tcp://" + engine.Listener.Addr().String(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	const advice = "until it is restarted"
	if err := e.purgeNetworks(t.Context()); err == nil || strings.Contains(err.Error(), advice) {
		t.Errorf("with a container in the network: %v", err)
	}
	containers = "{}"
	if err := e.purgeNetworks(t.Context()); err == nil || !strings.Contains(err.Error(), advice) {
		t.Errorf("with none: %v", err)
	}
}
