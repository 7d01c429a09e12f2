// Package fake is an engine in memory, for unit tests. It has the methods of
// runtime/docker, runs nothing, and lets a test decide what its containers do:
// exit, crash, run out of memory, answer or refuse connections. All its times
// come from the standard timers, so that it can live in a synctest bubble.
package fake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"skiff/runtime/container"
)

// Behaviour is what a container does once it is started.
type Behaviour struct {
	StartError string        // the start fails with these words
	ExitAfter  time.Duration // exits by itself after so long; zero: runs on
	ExitCode   int           // of that exit
	Deaf       bool          // SIGTERM does nothing
	StopAfter  time.Duration // from SIGTERM to the exit
	StopCode   int           // of that exit
	Output     []string      // lines written at the start
	LastWords  []string      // lines written at a SIGTERM that is heeded

	// Exec answers for a command run in the container; nil: exit code 0.
	Exec func(ctx context.Context, cmd []string) ([]byte, int, error)
	// Dial connects to a port of the container, for instance to a server on
	// loopback or to one end of a net.Pipe; nil: connection refused.
	Dial func(ctx context.Context, port int) (net.Conn, error)
}

// Program is an image's content: it says how a container made from it behaves.
type Program func(spec container.Spec) Behaviour

// Run is the program that runs until it is stopped.
func Run(container.Spec) Behaviour { return Behaviour{} }

type storedImage struct {
	container.Image
	program Program
}

// Engine is the engine in memory.
type Engine struct {
	mu         sync.Mutex // guards the rest
	subnet     netip.Prefix
	images     map[string]storedImage          // by name and by ID
	remote     map[string]storedImage          // can be pulled
	demanded   map[string]container.Credential // by whom alone
	containers map[string]*record
	names      map[string]string // the containers' names and their IDs
	volumes    map[string]*stored
	made       int
	failures   map[string][]error
	delays     map[string]time.Duration
	calls      map[string]int
	subs       map[*subscription]bool
	lost       bool // see Lose
}

// New makes an engine without images and containers.
func New() *Engine {
	return &Engine{
		images:     map[string]storedImage{},
		remote:     map[string]storedImage{},
		demanded:   map[string]container.Credential{},
		containers: map[string]*record{},
		names:      map[string]string{},
		volumes:    map[string]*stored{},
		failures:   map[string][]error{},
		delays:     map[string]time.Duration{},
		calls:      map[string]int{},
		subs:       map[*subscription]bool{},
	}
}

// AddImage puts an image into the engine. A name that exists moves to the new
// image, as with `docker build -t`.
func (e *Engine) AddImage(ref string, p Program) container.Image {
	e.mu.Lock()
	defer e.mu.Unlock()
	i := e.newImage(p)
	e.images[ref], e.images[i.ID] = i, i
	return i.Image
}

// AddRemote puts an image where Pull finds it.
func (e *Engine) AddRemote(ref string, p Program) container.Image {
	e.mu.Lock()
	defer e.mu.Unlock()
	i := e.newImage(p)
	i.Digests = []string{ref + "@" + i.ID}
	e.remote[ref] = i
	return i.Image
}

// Demand has the registry give an image to one user only.
func (e *Engine) Demand(ref string, as container.Credential) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.demanded[ref] = as
}

func (e *Engine) newImage(p Program) storedImage {
	sum := sha256.Sum256(fmt.Append(nil, e.count()))
	return storedImage{
		Image: container.Image{
			ID:        "sha256:" + hex.EncodeToString(sum[:]),
			Cmd:       []string{"/app"},
			CreatedAt: time.Now(),
			Size:      1 << 20,
		},
		program: p,
	}
}

// count numbers what is made. The lock is held.
func (e *Engine) count() int {
	e.made++
	return e.made
}

// Fail lets the next calls of a method ("Create", "Start" …) fail, one for each
// error; nil lets one pass.
func (e *Engine) Fail(method string, errs ...error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.failures[method] = append(e.failures[method], errs...)
}

// Delay makes every call of a method take so long before it does anything.
func (e *Engine) Delay(method string, d time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.delays[method] = d
}

// Calls counts a method's calls so far.
func (e *Engine) Calls(method string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.calls[method]
}

// begin does what every method does first: it counts, takes its time, and
// fails if it is told to.
func (e *Engine) begin(ctx context.Context, method string) error {
	e.mu.Lock()
	e.calls[method]++
	delay := e.delays[method]
	var err error
	if queued := e.failures[method]; len(queued) > 0 {
		err, e.failures[method] = queued[0], queued[1:]
	}
	if e.lost {
		err = fmt.Errorf("call %s: %w", method, container.ErrUnavailable)
	}
	e.mu.Unlock()
	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// Ping succeeds.
func (e *Engine) Ping(ctx context.Context) error { return e.begin(ctx, "Ping") }

// Info describes a small machine.
func (e *Engine) Info(ctx context.Context) (container.Info, error) {
	return container.Info{
		Host: "fake://", Version: "0.0.0", APIVersion: "1.41", OS: "linux", Arch: "amd64",
		OSImage: "none", Kernel: "none", StorageDriver: "memory", Machine: "fake", CPUs: 2, Memory: 4 << 30,
	}, e.begin(ctx, "Info")
}

// EnsureNetwork gives the wanted subnet, or one of its own.
func (e *Engine) EnsureNetwork(ctx context.Context, want netip.Prefix) (netip.Prefix, error) {
	if err := e.begin(ctx, "EnsureNetwork"); err != nil {
		return netip.Prefix{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.subnet.IsValid() {
		e.subnet = want
	}
	if !e.subnet.IsValid() {
		e.subnet = netip.MustParsePrefix("10.208.0.0/20")
	}
	return e.subnet, nil
}

// Subnet is what EnsureNetwork answered.
func (e *Engine) Subnet() netip.Prefix {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.subnet
}

// Image describes an image that is there.
func (e *Engine) Image(ctx context.Context, ref string) (container.Image, error) {
	if err := e.begin(ctx, "Image"); err != nil {
		return container.Image{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	i, ok := e.images[ref]
	if !ok {
		return container.Image{}, fmt.Errorf("inspect image %s: %w", ref, container.ErrNotFound)
	}
	return i.Image, nil
}

// Pull makes a remote image local.
func (e *Engine) Pull(ctx context.Context, ref string, as container.Credential, progress func(done, total int64)) (container.Image, error) {
	if err := e.begin(ctx, "Pull"); err != nil {
		return container.Image{}, err
	}
	e.mu.Lock()
	i, ok := e.remote[ref]
	if wanted := e.demanded[ref]; ok && (as.Username != wanted.Username || as.Password != wanted.Password) {
		e.mu.Unlock()
		return container.Image{}, fmt.Errorf("pull image %q: the registry denies access (docker login)", ref)
	}
	if ok {
		e.images[ref], e.images[i.ID] = i, i
	}
	e.mu.Unlock()
	if !ok {
		return container.Image{}, fmt.Errorf("pull image %q: manifest unknown: %w", ref, container.ErrNotFound)
	}
	progress(i.Size, i.Size)
	return i.Image, nil
}

// Identity knows users by their numbers alone; root is the others' group.
func (e *Engine) Identity(ctx context.Context, _ container.Pod, _, user string) (container.Identity, error) {
	if err := e.begin(ctx, "Identity"); err != nil {
		return container.Identity{}, err
	}
	uid, gid, _ := strings.Cut(user, ":")
	var id container.Identity
	id.UID, _ = strconv.ParseInt(uid, 10, 64)
	id.GID, _ = strconv.ParseInt(gid, 10, 64)
	return id, nil
}

// Purge removes every container and volume.
func (e *Engine) Purge(ctx context.Context) error {
	if err := e.begin(ctx, "Purge"); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for id := range e.containers {
		e.remove(id)
	}
	clear(e.volumes)
	e.subnet = netip.Prefix{}
	return nil
}

// Close does nothing.
func (e *Engine) Close() error { return nil }
