package jsonl

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// Message is one that takes a number, by which the other side says that it is done.
type Message[M any] interface{ Numbered(seq uint64) M }

// Teller has another process do things, in their order, and knows what of it is
// waited for. Connections come and go under it; its methods return at once.
type Teller[M Message[M]] struct {
	whom string

	mu     sync.Mutex // guards all below
	last   uint64
	out    *Outbox[M] // nil: there is no connection
	nobody bool       // whom is known not to run: there is nothing to wait for
	asked  map[uint64]*Asked[M]
}

// NewTeller makes one that has not been heard yet. whom is for errors.
func NewTeller[M Message[M]](whom string) *Teller[M] {
	return &Teller[M]{whom: whom, asked: map[uint64]*Asked[M]{}}
}

// Asked is a message of which somebody wants to know when it is done.
type Asked[M Message[M]] struct {
	teller  *Teller[M]
	seq     uint64
	message M
	done    chan struct{}
	err     error
}

// Tell has a message sent, where there is a connection.
func (t *Teller[M]) Tell(m M) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.put(m)
}

// Ask is Tell for who wants to know when it is done. What is not done when the
// connection ends is said again over the next one.
func (t *Teller[M]) Ask(m M) *Asked[M] {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := &Asked[M]{teller: t, done: make(chan struct{})}
	a.seq, a.message = t.put(m)
	if t.nobody {
		close(a.done)
		return a
	}
	t.asked[a.seq] = a
	return a
}

// put needs mu: messages go out in the order of their numbers.
func (t *Teller[M]) put(m M) (uint64, M) {
	t.last++
	m = m.Numbered(t.last)
	if t.out != nil {
		t.out.Put(m)
	}
	return t.last, m
}

// Connect makes a new connection the one that is told: of what is waited for,
// and, before that, of all else that there is to know.
func (t *Teller[M]) Connect(out *Outbox[M], all ...M) (last uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.nobody, t.out = false, out
	for _, m := range all {
		last, _ = t.put(m)
	}
	for _, seq := range slices.Sorted(maps.Keys(t.asked)) {
		out.Put(t.asked[seq].message)
	}
	return last
}

// Lost takes note that the connection is gone, and, if gone, so is whom it led to.
func (t *Teller[M]) Lost(gone bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.out, t.nobody = nil, gone
	if !gone {
		return
	}
	for _, a := range t.asked {
		close(a.done)
	}
	clear(t.asked)
}

// Done takes note that a message is done, or, with a problem, what of it could
// not be, and says whether somebody was waiting.
func (t *Teller[M]) Done(seq uint64, problem string) (awaited bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.asked[seq]
	if a == nil {
		return false
	}
	delete(t.asked, seq)
	if problem != "" {
		a.err = errors.New(problem)
	}
	close(a.done)
	return true
}

// Await waits until the message is done, or the other side is gone. grace is how
// long it may still take after ctx's deadline.
func (a *Asked[M]) Await(ctx context.Context, grace time.Duration) error {
	select {
	case <-a.done:
		return a.err
	case <-ctx.Done():
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-a.done:
			return a.err
		case <-timer.C:
		}
	}
	a.teller.mu.Lock()
	defer a.teller.mu.Unlock()
	delete(a.teller.asked, a.seq)
	return fmt.Errorf("wait for %s: %w", a.teller.whom, ctx.Err())
}
