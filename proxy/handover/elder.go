package handover

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
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
const cutPatience = 5 * time.Second

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
	told *jsonl.Teller[message]
	left atomic.Bool   // it accepts nothing any more
	gone chan struct{} // closed when it has ended: nothing is left in flight there

	counted func(switchboard.Counts)
}

// NewElder speaks to the elder process over the connection by which it handed
// its sockets over. counted gets what that has counted, whenever it is asked for
// it and at its end.
func NewElder(conn Conn, counted func(switchboard.Counts)) *Elder {
	e := &Elder{
		conn: conn, counted: counted, out: jsonl.NewOutbox[message](), gone: make(chan struct{}),
		told: jsonl.NewTeller[message]("the process that handed over"),
	}
	e.told.Connect(e.out)
	return e
}

// Gone is closed once the elder process has ended.
func (e *Elder) Gone() <-chan struct{} { return e.gone }

// Run tells the elder what it has to know. When ctx ends, the elder is to end
// as well, and is waited for. ErrTakenBack: it has not left what it handed over.
func (e *Elder) Run(ctx context.Context) error {
	over := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		// Where nobody reads any more there may still be something to be read.
		_ = e.out.Run(e.conn, over)
	})
	running.Go(func() {
		defer close(over)
		e.listen()
	})
	defer running.Wait()
	defer e.conn.Close()
	select {
	case <-e.gone:
		if !e.left.Load() {
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
		if err != nil {
			e.told.Lost(true)
			close(e.gone)
			return
		}
		if r.Left {
			e.left.Store(true)
		}
		if r.Counts != nil {
			e.counted(r.Counts)
		}
		e.told.Done(r.Done, r.Error)
	}
}

// Leave has the elder accept nothing any more. From then on all that was handed
// over is the heir's alone.
func (e *Elder) Leave(ctx context.Context) error {
	err := e.told.Ask(message{Leave: true}).Await(ctx, 0)
	if err == nil && !e.left.Load() {
		return ErrTakenBack
	}
	return err
}

// Recount returns once what the elder has counted by now is known, or the elder
// has ended.
func (e *Elder) Recount(ctx context.Context) error {
	return e.told.Ask(message{Count: true}).Await(ctx, 0)
}

// Followed is a front whose every change the elder hears of, too: what is said
// to be done has been done by both.
func (e *Elder) Followed(f Front) Front { return &followed{Front: f, elder: e} }

type followed struct {
	Front
	elder *Elder
}

func (f *followed) Set(ctx context.Context, s switchboard.Service) map[string]error {
	f.elder.told.Tell(message{Set: &s})
	return f.Front.Set(ctx, s)
}

func (f *followed) Expect(service string, e pool.Expectation) {
	f.elder.told.Tell(message{Expect: &switchboard.Expect{Service: service, Expected: e}})
	f.Front.Expect(service, e)
}

func (f *followed) Remove(id string) (wait func(context.Context) error) {
	removed := f.elder.told.Ask(message{Remove: id})
	own := f.Front.Remove(id)
	return func(ctx context.Context) error {
		return errors.Join(own(ctx), removed.Await(ctx, 0))
	}
}

func (f *followed) Drain(id string, streams time.Duration) (wait func(context.Context) error) {
	f.elder.told.Tell(message{Remove: id})
	own := f.Front.Drain(id, streams)
	return func(ctx context.Context) error {
		drained := f.elder.told.Ask(message{Drain: switchboard.DrainWithin(ctx, id, streams)})
		return errors.Join(own(ctx), drained.Await(ctx, cutPatience))
	}
}

// Process is an elder as its heir has to do with it.
type Process struct {
	Front
	// Leave is called when the heir is ready, and has to see to it that nothing is
	// accepted any more.
	Leave func()
	// Count is what was counted up to now.
	Count func(context.Context) switchboard.Counts
}

// Obey is the elder's part: it does as its heir says. It returns when the heir is
// gone, and when ctx ends, with all told that has been done and counted: a process
// must not end before its heir knows that it has left.
func Obey(ctx context.Context, conn Conn, p Process) error {
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
	defer context.AfterFunc(ctx, func() {
		// Of what is told last, the heir reads when it is there.
		_ = errors.Join(conn.SetReadDeadline(time.Now()), conn.SetWriteDeadline(time.Now().Add(farewell)))
	})()
	// Not to be asked whether it is the end: the reading can end before this one.
	serving, cancel := context.WithCancel(ctx)
	defer cancel()
	in := jsonl.NewReader[message](conn, maxChange)
	for {
		m, err := in.Next()
		switch {
		case ctx.Err() != nil:
			out.Put(report{Counts: p.Count(ctx)})
			return nil
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		r := report{Done: m.Seq}
		switch {
		case m.Set != nil:
			p.Set(serving, *m.Set) // the heir listens, not this process
		case m.Expect != nil:
			p.Expect(m.Expect.Service, m.Expect.Expected)
		case m.Leave:
			p.Leave()
			r.Left = true
		case m.Count:
			working.Go(func() {
				r.Counts = p.Count(serving)
				out.Put(r)
			})
			continue
		case m.Remove != "":
			wait := p.Remove(m.Remove)
			working.Go(func() { out.Put(r.after(wait(serving))) })
			continue
		case m.Drain != nil:
			wait := p.Drain(m.Drain.ID, m.Drain.Streams)
			working.Go(func() { out.Put(r.after(m.Drain.Await(serving, wait))) })
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
