// Package enginetest says what any engine must do. Each engine's tests run it,
// so that unit tests with the one in memory mean something for the real one.
package enginetest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"skiff/runtime/container"
)

// Engine is what an engine can do.
type Engine interface {
	Image(ctx context.Context, ref string) (container.Image, error)
	Pull(ctx context.Context, ref string, as container.Credential, progress func(done, total int64)) (container.Image, error)
	Create(ctx context.Context, spec container.Spec) (string, error)
	Start(ctx context.Context, id string) error
	Stop(ctx context.Context, id string, grace time.Duration) error
	Remove(ctx context.Context, id string) error
	Disconnect(ctx context.Context, id string) error
	Reconnect(ctx context.Context, id string) error
	List(ctx context.Context) ([]container.Status, error)
	Inspect(ctx context.Context, id string) (container.Status, error)
	Events(ctx context.Context) <-chan container.Event
	Exec(ctx context.Context, id string, cmd []string) ([]byte, int, error)
	Logs(ctx context.Context, id string, o container.LogOptions) (io.ReadCloser, error)
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
	EnsureNetwork(ctx context.Context, want netip.Prefix) (netip.Prefix, error)
	Subnet() netip.Prefix
	Info(ctx context.Context) (container.Info, error)
	Ping(ctx context.Context) error
	Purge(ctx context.Context) error
	Close() error
}

// Lab is an engine to be tested, with an image and the means to hurt it.
//
// The image's program takes a command: "serve" prints "hello", listens on 8080
// and, at SIGTERM, prints "bye" and exits with 0; "deaf" ignores SIGTERM; "exit
// 3" prints "exiting with 3" and does so at once. Run in a running container,
// "/app echo words" prints the words, "/app complain" prints "it hurts" to
// standard error and exits with 3, and "/app sleep" does so for an hour.
type Lab struct {
	Engine
	ImageName string
	OOM       func(t *testing.T, id string) // lets a "serve" run out of memory
	Vanish    func(t *testing.T, id string) // removes a container behind the engine's back
}

// Run plays every scenario, each in a lab of its own.
func Run(t *testing.T, open func(t *testing.T) Lab) {
	for name, scenario := range map[string]func(*testing.T, bench){
		"life":       life,
		"exit":       exit,
		"grace":      grace,
		"oom":        oom,
		"restart":    restart,
		"sandbox":    sandbox,
		"standby":    standby,
		"exec":       execute,
		"logs":       logs,
		"vanished":   vanished,
		"conflicts":  conflicts,
		"not there":  notThere,
		"purge":      purge,
		"own events": ownEvents,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lab := open(t)
			if _, err := lab.EnsureNetwork(t.Context(), netip.Prefix{}); err != nil {
				t.Fatal(err)
			}
			scenario(t, bench{Lab: lab, uid: rand.Text(), events: lab.Events(t.Context())})
		})
	}
}

// bench is a lab in use.
type bench struct {
	Lab
	uid    string // of its Pods, the beginning
	events <-chan container.Event
}

// spec is the nth Pod's only container.
func (b bench) spec(t *testing.T, n int, cmd ...string) container.Spec {
	t.Helper()
	i, err := b.Image(t.Context(), b.ImageName)
	if err != nil {
		t.Fatal(err)
	}
	ranges, err := container.Split(b.Subnet())
	if err != nil {
		t.Fatal(err)
	}
	address := ranges.Pods.Addr()
	for range n {
		address = address.Next()
	}
	name := fmt.Sprintf("web-%d", n)
	return container.Spec{
		Pod:  container.Pod{Namespace: "default", Name: name, UID: b.uid + name},
		Name: "app", Hash: "abc", Image: b.ImageName, ImageID: i.ID, Cmd: cmd,
		Hostname: name, Network: container.Network{Address: address},
	}
}

func (b bench) create(t *testing.T, s container.Spec) string {
	t.Helper()
	id, err := b.Create(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (b bench) start(t *testing.T, s container.Spec) string {
	t.Helper()
	id := b.create(t, s)
	if err := b.Start(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	return id
}

func (b bench) inspect(t *testing.T, id string) container.Status {
	t.Helper()
	s, err := b.Inspect(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// expect reads events until one has that action for that container.
func (b bench) expect(t *testing.T, id, action string) container.Event {
	t.Helper()
	limit := time.NewTimer(2 * time.Minute)
	defer limit.Stop()
	for {
		select {
		case e, ok := <-b.events:
			if !ok {
				t.Fatalf("events ended before %s", action)
			}
			if e.ContainerID == id && e.Action == action {
				return e
			}
		case <-limit.C:
			t.Fatalf("no event %s for %s", action, id)
		}
	}
}

// log is everything that the container has written.
func (b bench) log(t *testing.T, id string, o container.LogOptions) string {
	t.Helper()
	r, err := b.Logs(t.Context(), id, o)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// answers waits until a port of the Pod accepts a connection.
func (b bench) answers(t *testing.T, address netip.Addr) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := b.DialContext(ctx, "tcp", netip.AddrPortFrom(address, 8080).String())
		if err == nil {
			conn.Close()
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("no answer: %v", err)
		}
	}
}

func (b bench) list(t *testing.T) []string {
	t.Helper()
	all, err := b.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, s := range all {
		out = append(out, fmt.Sprintf("%s/%s/%d %s", s.Pod.Name, s.Name, s.Attempt, s.State))
	}
	slices.Sort(out)
	return out
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		t.Errorf("%s: got %s, want %s", what, g, w)
	}
}

func is(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got error %v, want %v", what, err, want)
	}
}
