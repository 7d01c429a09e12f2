package handover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"skiff/proxy/jsonl"
	"skiff/proxy/pool"
	"skiff/proxy/switchboard"
)

// Front is what forwards to back ends; a switchboard.Board is one.
type Front interface {
	Set(ctx context.Context, s switchboard.Service) (failed map[string]error)
	Expect(service string, e pool.Expectation)
	Remove(id string) (wait func(context.Context) error)
	Drain(id string, streams time.Duration) (wait func(context.Context) error)
}

// cutPatience is for what was cut at the end of a drain to say goodbye, and for
// the other process to tell.
const cutPatience = 3 * time.Second

// farewell bounds what an heir that ends waits for its elder to end as well.
const farewell = 10 * time.Second

// ErrTakenBack: the elder process has gone on by itself, or ended, before the
// heir was ready.
var ErrTakenBack = errors.New("the process that was to hand over went on by itself or ended")

// Elder is the process that handed its sockets over, as its heir sees it. While
// connections are left there, it hears of every change.
type Elder struct {
	conn Conn
	out  *jsonl.Outbox[message]
	gone chan struct{} // closed when it has ended: nothing is left in flight there

	mu      sync.Mutex // guards all below
	seq     uint64
	pending map[uint64]*pending
	over    bool
	left    bool // it accepts nothing any more
}

type pending struct {
	done chan struct{}
	err  error
}

// NewElder speaks to the elder process over the connection by which it handed
// its sockets over.
func NewElder(conn Conn) *Elder {
	return &Elder{conn: conn, out: jsonl.NewOutbox[message](), gone: make(chan struct{}), pending: map[uint64]*pending{}}
}

// Gone is closed once the elder process has ended.
func (e *Elder) Gone() <-chan struct{} { return e.gone }

// Run tells the elder what it has to know. When ctx ends, the elder is to end
// as well, and is waited for. ErrTakenBack: it has not left what it handed over.
func (e *Elder) Run(ctx context.Context) error {
	over := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		if e.out.Run(e.conn, over) != nil {
			e.conn.Close()
		}
	})
	running.Go(func() {
		defer close(over)
		e.listen()
	})
	defer running.Wait()
	defer e.conn.Close()
	select {
	case <-e.gone:
		e.mu.Lock()
		left := e.left
		e.mu.Unlock()
		if !left {
			return ErrTakenBack
		}
		<-ctx.Done()
		return nil
	case <-ctx.Done():
	}
	if e.conn.CloseWrite() != nil {
		return nil
	}
	timer := time.NewTimer(farewell)
	defer timer.Stop()
	select {
	case <-e.gone:
	case <-timer.C:
	}
	return nil
}

func (e *Elder) listen() {
	in := jsonl.NewReader[report](e.conn, maxReport)
	for {
		r, err := in.Next()
		e.mu.Lock()
		if err != nil {
			e.over = true
			for seq, p := range e.pending {
				close(p.done)
				delete(e.pending, seq)
			}
			e.mu.Unlock()
			close(e.gone)
			return
		}
		e.left = e.left || r.Left
		if p := e.pending[r.Done]; p != nil {
			delete(e.pending, r.Done)
			if r.Error != "" {
				p.err = errors.New(r.Error)
			}
			close(p.done)
		}
		e.mu.Unlock()
	}
}

// Leave has the elder accept nothing any more. From then on all that was handed
// over is the heir's alone.
func (e *Elder) Leave(ctx context.Context) error {
	err := e.await(ctx, e.ask(message{Leave: true}), 0)
	e.mu.Lock()
	defer e.mu.Unlock()
	if err == nil && !e.left {
		return ErrTakenBack
	}
	return err
}

// Followed is a front whose every change the elder hears of, too: what is said
// to be done has been done by both.
func (e *Elder) Followed(f Front) Front { return &followed{Front: f, elder: e} }

type followed struct {
	Front
	elder *Elder
}

func (f *followed) Set(ctx context.Context, s switchboard.Service) map[string]error {
	f.elder.tell(message{Set: &s})
	return f.Front.Set(ctx, s)
}

func (f *followed) Expect(service string, e pool.Expectation) {
	f.elder.tell(message{Expect: &expect{service, e}})
	f.Front.Expect(service, e)
}

func (f *followed) Remove(id string) (wait func(context.Context) error) {
	p := f.elder.ask(message{Remove: id})
	own := f.Front.Remove(id)
	return func(ctx context.Context) error {
		return errors.Join(own(ctx), f.elder.await(ctx, p, 0))
	}
}

func (f *followed) Drain(id string, streams time.Duration) (wait func(context.Context) error) {
	f.elder.tell(message{Remove: id})
	own := f.Front.Drain(id, streams)
	return func(ctx context.Context) error {
		within := time.Hour
		if deadline, ok := ctx.Deadline(); ok {
			within = max(0, time.Until(deadline))
		}
		p := f.elder.ask(message{Drain: &drain{ID: id, Streams: streams, Within: within}})
		return errors.Join(own(ctx), f.elder.await(ctx, p, cutPatience))
	}
}

func (e *Elder) tell(m message) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.put(m)
}

// put needs mu: messages go out in the order of their numbers.
func (e *Elder) put(m message) uint64 {
	e.seq++
	m.Seq = e.seq
	if !e.over {
		e.out.Put(m)
	}
	return m.Seq
}

func (e *Elder) ask(m message) *pending {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := &pending{done: make(chan struct{})}
	if e.over {
		close(p.done)
		return p
	}
	e.pending[e.put(m)] = p
	return p
}

// await waits until a message is done, or the elder is gone. grace is how long
// it may still take after ctx's deadline.
func (e *Elder) await(ctx context.Context, p *pending, grace time.Duration) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-p.done:
			return p.err
		case <-timer.C:
		}
	}
	return fmt.Errorf("wait for the process that handed over: %w", ctx.Err())
}

// Obey is the elder's part: it does to a front what its heir says. leave is
// called when the heir is ready, and has to see to it that nothing is accepted
// here any more. Obey returns when the heir is gone or the connection is closed.
func Obey(ctx context.Context, conn Conn, front Front, leave func()) error {
	out := jsonl.NewOutbox[report]()
	over := make(chan struct{})
	var working sync.WaitGroup
	defer working.Wait()
	defer close(over)
	working.Go(func() {
		if out.Run(conn, over) != nil {
			conn.Close()
		}
	})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in := jsonl.NewReader[message](conn, maxChange)
	for {
		m, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		r := report{Done: m.Seq}
		switch {
		case m.Set != nil:
			front.Set(ctx, *m.Set) // the heir listens, not this process
		case m.Expect != nil:
			front.Expect(m.Expect.Service, m.Expect.Expected)
		case m.Leave:
			leave()
			r.Left = true
		case m.Remove != "":
			wait := front.Remove(m.Remove)
			working.Go(func() { out.Put(r.after(wait(ctx))) })
			continue
		case m.Drain != nil:
			wait := front.Drain(m.Drain.ID, m.Drain.Streams)
			within := m.Drain.Within
			working.Go(func() {
				ctx, cancel := context.WithTimeout(ctx, within)
				defer cancel()
				out.Put(r.after(wait(ctx)))
			})
			continue
		}
		out.Put(r)
	}
}

func (r report) after(err error) report {
	if err != nil {
		r.Error = err.Error()
	}
	return r
}
