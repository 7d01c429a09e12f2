//go:build unix

package handover

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"skiff/proxy/pool"
	"skiff/proxy/switchboard"
)

// board takes note of what it is told; a drain lasts until it is let end.
type board struct {
	mu      sync.Mutex
	log     []string
	drained chan struct{}
}

func (b *board) note(what string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.log = append(b.log, what)
}

func (b *board) Set(_ context.Context, s switchboard.Service) map[string]error {
	b.note("set " + s.Name)
	return nil
}
func (b *board) Expect(service string, _ pool.Expectation) { b.note("expect " + service) }
func (b *board) Remove(id string) func(context.Context) error {
	b.note("remove " + id)
	return func(context.Context) error { return nil }
}
func (b *board) Drain(id string, _ time.Duration) func(context.Context) error {
	b.note("drain " + id)
	return func(ctx context.Context) error {
		select {
		case <-b.drained:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// process is one that has handed over to the test, or to another one.
type process struct {
	board
	elder *Elder
	left  chan struct{}
	conn  Conn
	told  chan switchboard.Counts
	ended chan error
}

// counted is what a process has counted.
func counted(context.Context) switchboard.Counts { return switchboard.Counts{"web": nil} }

func start(t *testing.T, front func(Front) Front) *process {
	t.Helper()
	heir, own := pair(t)
	p := &process{board: board{drained: make(chan struct{})}, left: make(chan struct{}), conn: own, told: make(chan switchboard.Counts, 1), ended: make(chan error, 1)}
	p.elder = NewElder(heir, func(c switchboard.Counts) { p.told <- c })
	go func() {
		p.ended <- Obey(t.Context(), own, Process{Front: front(&p.board), Leave: func() { close(p.left) }, Count: counted})
	}()
	return p
}

func alone(f Front) Front { return f }

func run(t *testing.T, e *Elder) (stop func() error) {
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- e.Run(ctx) }()
	return func() error { cancel(); return <-ran }
}

// Two processes linger, one after the other: a back end is drained only when it
// is in both of them and in the one that is in charge.
func TestDrainAwaitsEveryElder(t *testing.T) {
	t.Parallel()
	first := start(t, alone)
	second := start(t, first.elder.Followed)
	stopFirst, stopSecond := run(t, first.elder), run(t, second.elder)
	for _, e := range []*Elder{first.elder, second.elder} {
		if err := e.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	<-first.left
	<-second.left
	own := &board{drained: make(chan struct{})}
	front := second.elder.Followed(own)
	front.Set(t.Context(), switchboard.Service{Name: "web"})
	front.Expect("web", pool.Expectation{})
	if err := front.Remove("a")(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{"set web", "expect web", "remove a"}
	for name, b := range map[string]*board{"first": &first.board, "second": &second.board, "own": own} {
		b.mu.Lock()
		if len(b.log) != 3 || b.log[0] != want[0] || b.log[1] != want[1] || b.log[2] != want[2] {
			t.Errorf("%s was told %q", name, b.log)
		}
		b.mu.Unlock()
	}
	drained := make(chan error, 1)
	go func() { drained <- front.Drain("a", time.Second)(t.Context()) }()
	for _, b := range []*board{own, &second.board} {
		close(b.drained)
		if err := front.Remove("b")(t.Context()); err != nil { // comes after what the drain has told
			t.Fatal(err)
		}
		select {
		case err := <-drained:
			t.Fatalf("drained with something in flight in the first process: %v", err)
		default:
		}
	}
	close(first.drained)
	if err := <-drained; err != nil {
		t.Error(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- stopSecond() }()
	if err := <-second.ended; err != nil { // it hears the end of its heir, and then ends
		t.Error(err)
	}
	second.conn.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	first.conn.Close()
	if err := stopFirst(); err != nil {
		t.Error(err)
	}
}

// With an elder that has ended nothing is in flight, and one that ends before it
// has left has taken everything back.
func TestElderEnds(t *testing.T) {
	t.Parallel()
	p := start(t, alone)
	stop := run(t, p.elder)
	if err := errors.Join(p.elder.Leave(t.Context()), p.elder.Recount(t.Context())); err != nil {
		t.Fatal(err)
	}
	if len(p.told) != 1 {
		t.Error("what it has counted is not known")
	}
	drained := make(chan error, 1)
	front := p.elder.Followed(&board{drained: p.drained})
	go func() { drained <- p.elder.Followed(nothing{}).Drain("a", time.Hour)(t.Context()) }()
	if err := front.Remove("b")(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.conn.Close()
	if err := <-drained; err != nil {
		t.Errorf("drain in a process that has ended: %v", err)
	}
	<-p.elder.Gone()
	if err := errors.Join(front.Remove("c")(t.Context()), p.elder.Recount(t.Context())); err != nil {
		t.Error(err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}

	p = start(t, alone)
	ran := make(chan error, 1)
	go func() { ran <- p.elder.Run(t.Context()) }()
	p.conn.Close()
	if err := <-ran; !errors.Is(err, ErrTakenBack) {
		t.Errorf("an elder that went on by itself: %v", err)
	}
	if err := p.elder.Leave(t.Context()); !errors.Is(err, ErrTakenBack) {
		t.Errorf("leave: %v", err)
	}
	if err := <-p.ended; err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

// TestElderEndsAtOnce: one that has nothing left to serve when it has left ends
// at that moment, and its heir knows all the same that it has left, and what it has
// counted.
func TestElderEndsAtOnce(t *testing.T) {
	t.Parallel()
	for range 100 {
		heir, own := pair(t)
		last := make(chan switchboard.Counts, 1)
		elder := NewElder(heir, func(c switchboard.Counts) { last <- c })
		stop := run(t, elder)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			err := Obey(ctx, own, Process{Front: &board{}, Leave: cancel, Count: counted})
			ended <- errors.Join(err, own.Close())
		}()
		front, over, told := elder.Followed(nothing{}), make(chan struct{}), make(chan struct{})
		go func() { // who does not know yet
			defer close(told)
			for {
				front.Expect("web", pool.Expectation{})
				select {
				case <-over:
					return
				default:
				}
			}
		}()
		err := errors.Join(elder.Leave(t.Context()), <-ended)
		close(over)
		<-told
		if err = errors.Join(err, stop()); err != nil {
			t.Fatal(err)
		}
		select {
		case <-last:
		default:
			t.Fatal("what it has counted in the end is not known")
		}
	}
}

// What was counted is told also where the reading ends before anything else has
// heard of the end.
func TestElderTellsInTheEnd(t *testing.T) {
	t.Parallel()
	heir, own := pair(t)
	last := make(chan switchboard.Counts, 1)
	elder := NewElder(heir, func(c switchboard.Counts) { last <- c })
	stop := run(t, elder)
	ctx := &endsOnce{Context: context.Background(), done: make(chan struct{})}
	ended := make(chan error, 1)
	go func() {
		err := Obey(ctx, own, Process{Front: &board{}, Leave: func() {}, Count: counted})
		ended <- errors.Join(err, own.Close())
	}()
	if err := elder.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx.end()
	if err := errors.Join(<-ended, stop()); err != nil {
		t.Error(err)
	}
	select {
	case <-last:
	default:
		t.Error("what it has counted in the end is not known")
	}
}

// endsOnce is a context of whose end only the first hears that asked to be told.
type endsOnce struct {
	context.Context
	done  chan struct{}
	first func()
}

func (e *endsOnce) Done() <-chan struct{} { return e.done }

func (e *endsOnce) Err() error {
	select {
	case <-e.done:
		return context.Canceled
	default:
		return nil
	}
}

func (e *endsOnce) AfterFunc(f func()) (stop func() bool) {
	if e.first == nil {
		e.first = f
	}
	return func() bool { return true }
}

func (e *endsOnce) end() {
	close(e.done)
	e.first()
}

// nothing forwards to no back end.
type nothing struct{}

func (nothing) Set(context.Context, switchboard.Service) map[string]error { return nil }
func (nothing) Expect(string, pool.Expectation)                           {}
func (nothing) Remove(string) func(context.Context) error                 { return done }
func (nothing) Drain(string, time.Duration) func(context.Context) error   { return done }

func done(context.Context) error { return nil }
