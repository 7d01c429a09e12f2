package enginetest

import (
	"context"
	"testing"
	"time"

	"skiff/runtime/container"
)

func vanished(t *testing.T, b bench) {
	s := b.spec(t, 1, "serve")
	id := b.start(t, s)
	b.Vanish(t, id)
	b.expect(t, id, "destroy")
	_, err := b.Inspect(t.Context(), id)
	is(t, "inspect", err, container.ErrNotFound)
	is(t, "stop", b.Stop(t.Context(), id, time.Second), container.ErrNotFound)
	if err := b.Remove(t.Context(), id); err != nil {
		t.Errorf("remove: %v", err)
	}
	again := b.start(t, s) // its name and address are free
	b.answers(t, s.Network.Address)
	same(t, "state", b.inspect(t, again).State, container.Running)
}

func conflicts(t *testing.T, b bench) {
	s := b.spec(t, 1, "serve")
	b.start(t, s)
	_, err := b.Create(t.Context(), s)
	is(t, "the same attempt", err, container.ErrConflict)
	other := b.spec(t, 2, "serve")
	other.Network.Address = s.Network.Address
	if err := b.Start(t.Context(), b.create(t, other)); err == nil {
		t.Error("two running containers have one address")
	}
}

func notThere(t *testing.T, b bench) {
	const none = "docker://0000000000000000"
	_, err := b.Inspect(t.Context(), none)
	is(t, "inspect", err, container.ErrNotFound)
	_, _, err = b.Exec(t.Context(), none, []string{"x"})
	is(t, "exec", err, container.ErrNotFound)
	_, err = b.Logs(t.Context(), none, container.LogOptions{})
	is(t, "logs", err, container.ErrNotFound)
	_, err = b.Image(t.Context(), "skiff-test/none:1")
	is(t, "image", err, container.ErrNotFound)
	is(t, "start", b.Start(t.Context(), none), container.ErrNotFound)
	is(t, "stop", b.Stop(t.Context(), none, time.Second), container.ErrNotFound)
	is(t, "kill", b.Stop(t.Context(), none, 0), container.ErrNotFound)
	if err := b.Remove(t.Context(), none); err != nil {
		t.Errorf("remove: %v", err)
	}
	s := b.spec(t, 1, "serve")
	s.ImageID = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	_, err = b.Create(t.Context(), s)
	is(t, "create", err, container.ErrNotFound)
}

func purge(t *testing.T, b bench) {
	b.start(t, b.spec(t, 1, "serve"))
	b.create(t, b.spec(t, 2, "serve"))
	for range 2 {
		if err := b.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
		same(t, "list", b.list(t), []string{})
	}
}

// ownEvents: what happened before the subscription may be told, nothing that
// happens after it may be missing, and the order is kept.
func ownEvents(t *testing.T, b bench) {
	ctx, cancel := context.WithCancel(t.Context())
	events := b.Events(ctx)
	id := b.start(t, b.spec(t, 1, "exit", "0"))
	for _, action := range []string{"create", "start", "die"} {
		bench{Lab: b.Lab, events: events}.expect(t, id, action)
	}
	cancel()
	for range events { // until it is closed
	}
}
