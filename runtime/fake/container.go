package fake

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"skiff/runtime/container"
)

// scheme goes before the containers' IDs. It is the real engine's, for the API
// shows it to users.
const scheme = "docker://"

// The exit code of a process ended by SIGKILL.
const killed = 128 + 9

type record struct {
	container.Status
	spec      container.Spec
	name      string
	behaviour Behaviour
	exited    chan struct{} // closed when it has exited or is removed
	done      bool          // exited is closed
	log       []line
	changed   chan struct{} // closed and replaced at every line and at the exit
}

type line struct {
	at   time.Time
	text string
}

// Create makes one attempt's container.
func (e *Engine) Create(ctx context.Context, spec container.Spec) (string, error) {
	if err := e.begin(ctx, "Create"); err != nil {
		return "", err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	name := fmt.Sprintf("k8s_%s_%s_%s_%s_%d", spec.Name, spec.Pod.Name, spec.Pod.Namespace, spec.Pod.UID, spec.Attempt)
	if e.names[name] != "" {
		return "", fmt.Errorf("create container %s: %w", name, container.ErrConflict)
	}
	program := Run
	if spec.Name != container.SandboxName {
		i, ok := e.images[spec.ImageID]
		if !ok {
			return "", fmt.Errorf("create container %s: no such image: %w", name, container.ErrNotFound)
		}
		program = i.program
	}
	r := &record{
		Status: container.Status{
			ID: e.newID(), Pod: spec.Pod, Name: spec.Name, Attempt: spec.Attempt, Round: spec.Round, Hash: spec.Hash,
			Image: spec.Image, ImageID: spec.ImageID, Address: spec.Network.Address, Sandbox: spec.Network.Sandbox,
			State: container.Created, CreatedAt: time.Now(),
		},
		spec: spec, name: name, behaviour: program(spec),
		exited: make(chan struct{}), changed: make(chan struct{}),
	}
	e.containers[r.ID] = r
	e.names[name] = r.ID
	e.emit(r, "create")
	return r.ID, nil
}

// newID looks like one of the real engine. The lock is held.
func (e *Engine) newID() string {
	id := make([]byte, 32)
	copy(id, fmt.Sprintf("%08d", e.count()))
	return scheme + hex.EncodeToString(id)
}

// Start runs a created container.
func (e *Engine) Start(ctx context.Context, id string) error {
	if err := e.begin(ctx, "Start"); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	r, err := e.find(id)
	if err != nil {
		return err
	}
	if r.State == container.Running {
		return nil
	}
	err = e.startable(r)
	if err != nil {
		r.Error, r.ExitCode = err.Error(), 128
		return fmt.Errorf("start container: %w", err)
	}
	r.State, r.StartedAt = container.Running, time.Now()
	if r.done {
		r.exited, r.done = make(chan struct{}), false
		r.ExitCode, r.OOMKilled = 0, false
	}
	for _, text := range r.behaviour.Output {
		r.print(text)
	}
	e.emit(r, "start")
	if after := r.behaviour.ExitAfter; after > 0 {
		e.exitLater(r, after, r.behaviour.ExitCode)
	}
	return nil
}

// startable checks what the real engine finds out at the start.
func (e *Engine) startable(r *record) error {
	if r.behaviour.StartError != "" {
		return errors.New(r.behaviour.StartError)
	}
	if s := r.spec.Network.Sandbox; s != "" {
		if sandbox := e.containers[s]; sandbox == nil || sandbox.State != container.Running {
			return fmt.Errorf("cannot join the network of a container that does not run: %w", container.ErrConflict)
		}
		return nil
	}
	if r.Detached {
		return nil
	}
	return e.addressFree(r)
}

// addressFree checks that nobody else has a container's address. The lock is held.
func (e *Engine) addressFree(r *record) error {
	for _, other := range e.containers {
		if other != r && other.State == container.Running && !other.Detached && other.Address.IsValid() && other.Address == r.Address {
			return errors.New("address already in use")
		}
	}
	return nil
}

// exitLater ends this run of the container, unless it has ended by then.
func (e *Engine) exitLater(r *record, after time.Duration, code int) {
	run := r.exited
	time.AfterFunc(after, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if r.exited == run {
			e.exit(r, code)
		}
	})
}

// exit ends a running container. The lock is held.
func (e *Engine) exit(r *record, code int) {
	if r.State != container.Running {
		return
	}
	r.State, r.FinishedAt, r.ExitCode = container.Exited, time.Now(), code
	r.done = true
	close(r.exited)
	r.wake()
	e.emit(r, "die")
}

// Stop signals, waits for the grace, kills.
func (e *Engine) Stop(ctx context.Context, id string, grace time.Duration) error {
	if err := e.begin(ctx, "Stop"); err != nil {
		return err
	}
	e.mu.Lock()
	r, err := e.find(id)
	if err != nil || r.State != container.Running {
		e.mu.Unlock()
		return err
	}
	exited := r.exited
	switch b := r.behaviour; {
	case grace <= 0:
		e.exit(r, killed)
	case r.Name == container.SandboxName:
		e.exit(r, killed) // its stop signal is SIGKILL
	default:
		// As with the real engine, a stop that was begun goes on without us.
		e.exitLater(r, grace, killed)
		if !b.Deaf {
			e.terminate(r)
		}
	}
	e.mu.Unlock()
	select {
	case <-exited:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop container: %w", ctx.Err())
	}
}

// terminate is SIGTERM to a program that heeds it. The lock is held.
func (e *Engine) terminate(r *record) {
	for _, text := range r.behaviour.LastWords {
		r.print(text)
	}
	if r.behaviour.StopAfter <= 0 {
		e.exit(r, r.behaviour.StopCode)
		return
	}
	e.exitLater(r, r.behaviour.StopAfter, r.behaviour.StopCode)
}

// Remove kills the container if need be and removes it.
func (e *Engine) Remove(ctx context.Context, id string) error {
	if err := e.begin(ctx, "Remove"); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.remove(id)
	return nil
}

// remove takes a container away. The lock is held.
func (e *Engine) remove(id string) {
	r := e.containers[id]
	if r == nil {
		return
	}
	e.exit(r, killed)
	delete(e.containers, id)
	delete(e.names, r.name)
	if !r.done {
		r.done = true
		close(r.exited)
	}
	r.wake()
	e.emit(r, "destroy")
}

// List describes every container, the oldest first.
func (e *Engine) List(ctx context.Context) ([]container.Status, error) {
	if err := e.begin(ctx, "List"); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	out := make([]container.Status, 0, len(e.containers))
	for _, r := range e.containers {
		out = append(out, r.status())
	}
	slices.SortFunc(out, func(a, b container.Status) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

// Inspect describes one container.
func (e *Engine) Inspect(ctx context.Context, id string) (container.Status, error) {
	if err := e.begin(ctx, "Inspect"); err != nil {
		return container.Status{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	r, err := e.find(id)
	if err != nil {
		return container.Status{}, err
	}
	return r.status(), nil
}

// status is what the engine says of a container. The lock is held.
func (r *record) status() container.Status {
	s := r.Status
	s.Detached = s.Detached && s.State != container.Exited
	return s
}

// find looks a container up. The lock is held.
func (e *Engine) find(id string) (*record, error) {
	if r := e.containers[id]; r != nil {
		return r, nil
	}
	return nil, fmt.Errorf("find container %s: %w", id, container.ErrNotFound)
}

// Disconnect takes a container off its network before it starts.
func (e *Engine) Disconnect(ctx context.Context, id string) error {
	if err := e.begin(ctx, "Disconnect"); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	r, err := e.find(id)
	if err == nil {
		r.Detached = true
	}
	return err
}

// Reconnect gives a running container its network back.
func (e *Engine) Reconnect(ctx context.Context, id string) error {
	if err := e.begin(ctx, "Reconnect"); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	r, err := e.find(id)
	switch {
	case err != nil:
		return err
	case r.State != container.Running:
		return fmt.Errorf("connect container to its network: it does not run: %w", container.ErrConflict)
	case !r.Detached:
		return nil
	}
	if err := e.addressFree(r); err != nil {
		return fmt.Errorf("connect container to its network: %w", err)
	}
	r.Detached = false
	return nil
}
