package docker

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docker/docker/api/types/image"

	"skiff/runtime/container"
)

// The tests run against the machine's engine. Each has an instance of its own,
// so they run side by side; they share one image, made from testdata/app.
var testImage string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	ctx := context.Background()
	e, err := New(Options{Instance: "tests", Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		err = e.Ping(ctx)
	}
	if err == nil {
		err = loadApp(ctx, e)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer e.api.ImageRemove(ctx, testImage, image.RemoveOptions{Force: true})
	return m.Run()
}

func loadApp(ctx context.Context, e *Engine) error {
	dir, err := os.MkdirTemp("", "skiff-app")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "app")
	build := exec.Command("go", "build", "-o", path, "./testdata/app")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build test application: %w\n%s", err, out)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(program)
	testImage = fmt.Sprintf("skiff-test/app:%s-%d", hex.EncodeToString(sum[:4]), os.Getpid())
	archive, err := imageArchive(testImage, runtime.GOARCH, imageConfig{Entrypoint: []string{"/app"}}, entry{file: fileOf("app", program), mode: 0o555})
	if err != nil {
		return err
	}
	return e.load(ctx, bytes.NewReader(archive))
}

var instances atomic.Int32

// newEngine is an instance of its own, with its network, purged at the end.
func newEngine(t testing.TB) *Engine {
	t.Helper()
	e := newInstance(t, fmt.Sprintf("test-%d-%d", os.Getpid(), instances.Add(1)), "uid")
	if _, err := e.EnsureNetwork(t.Context(), netip.Prefix{}); err != nil {
		t.Fatal(err)
	}
	return e
}

func newInstance(t testing.TB, name, uid string) *Engine {
	t.Helper()
	e, err := New(Options{Instance: name, UID: uid, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Purge(context.Background()); err != nil {
			t.Errorf("purge: %v", err)
		}
		e.Close()
	})
	return e
}

var pods atomic.Int32

// spec is a Pod's only container, with a command of the test application.
func spec(t testing.TB, e *Engine, cmd ...string) container.Spec {
	t.Helper()
	i, err := e.Image(t.Context(), testImage)
	if err != nil {
		t.Fatal(err)
	}
	n := int(pods.Add(1))
	return container.Spec{
		Pod:      container.Pod{Namespace: "default", Name: fmt.Sprintf("web-%d", n), UID: fmt.Sprintf("uid-%d-%d", os.Getpid(), n)},
		Name:     "app",
		Hash:     "abc",
		Image:    testImage,
		ImageID:  i.ID,
		Cmd:      cmd,
		Hostname: fmt.Sprintf("web-%d", n),
		Network:  container.Network{Address: address(t, e, n)},
	}
}

// address is the nth of the instance's Pod range.
func address(t testing.TB, e *Engine, n int) netip.Addr {
	t.Helper()
	ranges, err := container.Split(e.Subnet())
	if err != nil {
		t.Fatal(err)
	}
	a := ranges.Pods.Addr()
	for range n {
		a = a.Next()
	}
	return a
}

// start creates and starts a container.
func start(t testing.TB, e *Engine, s container.Spec) string {
	t.Helper()
	id, err := e.Create(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	return id
}

// eventually waits until the condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(2 * time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("still not: %s", what)
		}
	}
}

func exited(t testing.TB, e *Engine, id string) container.Status {
	t.Helper()
	var s container.Status
	eventually(t, "exited", func() bool {
		var err error
		if s, err = e.Inspect(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		return s.State == container.Exited
	})
	return s
}

func TestNoEngine(t *testing.T) {
	t.Parallel()
	e, err := New(Options{Instance: "none", Host: "unix:///nowhere/docker.sock", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	_, infoErr := e.Info(t.Context())
	want := "no container engine answers at unix:///nowhere/docker.sock: start Docker, or set DOCKER_HOST to where it listens: "
	for call, err := range map[string]error{"Ping": e.Ping(t.Context()), "Info": infoErr} {
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %q…", call, err, want)
		}
	}
}

func TestInfo(t *testing.T) {
	t.Parallel()
	e := newInstance(t, "test-info", "uid")
	i, err := e.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if i.Version == "" || i.APIVersion == "" || i.OS != "linux" || i.Arch != runtime.GOARCH || i.CPUs < 1 || i.Memory < 1<<20 || i.StorageDriver == "" || i.Host == "" {
		t.Errorf("Info = %+v", i)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	const none = "docker://0000000000000000"
	_, inspect := e.Inspect(t.Context(), none)
	_, _, execute := e.Exec(t.Context(), none, []string{"x"})
	_, logs := e.Logs(t.Context(), none, container.LogOptions{})
	_, find := e.Image(t.Context(), "skiff-test/none")
	for what, err := range map[string]error{
		"inspect": inspect, "exec": execute, "logs": logs, "image": find,
		"start": e.Start(t.Context(), none),
		"stop":  e.Stop(t.Context(), none, time.Second),
		"kill":  e.Stop(t.Context(), none, 0),
	} {
		if !errors.Is(err, container.ErrNotFound) {
			t.Errorf("%s = %v, want not found", what, err)
		}
	}
	if err := e.Remove(t.Context(), none); err != nil {
		t.Errorf("Remove = %v, want nil: it is gone already", err)
	}
	s := spec(t, e, "serve")
	if _, err := e.Create(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Create(t.Context(), s); !errors.Is(err, container.ErrConflict) {
		t.Errorf("Create again = %v, want conflict", err)
	}
}
