package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// keptBody is how much of a request's body is kept for another attempt: many
// requests of gRPC are less.
const keptBody = 16 << 10

// endPatience is for the transport to say why it has given up an attempt.
const endPatience = time.Second

// requestBody is the client's body. Its beginning is kept, so that after an
// attempt of which no back end has seen anything it can be sent to another one,
// whatever the transport has read: in HTTP/2 a back end may say of a request that
// is on its way that it will not look at it (RFC 9113, sections 6.8 and 8.7).
type requestBody struct {
	body     io.ReadCloser
	within   func(d time.Duration) // bounds the next read; 0: not at all
	leave    func()                // ends a read
	trailers bool                  // follow it
	late     atomic.Bool           // the client paused for too long
	touched  atomic.Bool
	ended    atomic.Bool // read to its end
	left     atomic.Bool // the exchange is over

	reading sync.Mutex // held by the attempt that reads from the client
	kept    struct {
		sync.Mutex
		bytes    []byte // all that was read, if total is not more
		total    int64
		err      error // how the reading ended
		answered bool  // so that there is no other attempt
	}

	mu   sync.Mutex // guards over
	over bool       // the handler returns
}

var (
	errBodySpent = errors.New("request body has been read already")
	errUnheard   = errors.New("the back end does not look at the request")
	errUnsent    = errors.New("the request had not been sent to its end")
)

// spent says whether no other attempt can send the body from its beginning. One
// before it may be within a read still, and what that brings is kept; but the last
// one writes the trailers to where they would be read at the same time.
func (b *requestBody) spent() bool {
	b.kept.Lock()
	defer b.kept.Unlock()
	return b.kept.total > int64(len(b.kept.bytes)) || b.trailers && b.touched.Load()
}

// read reads from the client and keeps what came.
func (b *requestBody) read(p []byte) (int, error) {
	b.touched.Store(true)
	if b.left.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	b.patience(bodyTimeout)
	n, err := b.body.Read(p)
	if err == io.EOF {
		b.ended.Store(true)
		b.patience(0)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) && !b.left.Load() {
		b.late.Store(true)
	}
	b.kept.Lock()
	defer b.kept.Unlock()
	if b.kept.total += int64(n); b.kept.total > keptBody || b.kept.answered {
		b.kept.bytes = nil
	} else {
		b.kept.bytes = append(b.kept.bytes, p[:n]...)
	}
	b.kept.err = err
	return n, err
}

// forget lets go what is kept, for good.
func (b *requestBody) forget() {
	b.kept.Lock()
	defer b.kept.Unlock()
	b.kept.answered = true
	b.kept.bytes = nil
}

// known gives what is known of the body from a place on, if it is anything.
func (b *requestBody) known(from int64, p []byte) (n int, known bool, err error) {
	b.kept.Lock()
	defer b.kept.Unlock()
	switch {
	case from < int64(len(b.kept.bytes)):
		return copy(p, b.kept.bytes[from:]), true, nil
	case from < b.kept.total:
		return 0, true, errBodySpent
	}
	return 0, b.kept.err != nil, b.kept.err
}

func (b *requestBody) patience(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.left.Load() {
		b.within(d)
	}
}

// attempt is what the readers of the body for one attempt have in common.
type attempt struct {
	body     *requestBody
	end      func()
	carrier  atomic.Pointer[carrier] // nil: it goes by HTTP/2
	answered atomic.Bool             // something of the answer has come
	caughtUp atomic.Bool             // has what was read for those before it
}

// attemptBody is the body as the transport of one attempt sees it. The transport
// closes it, but only the server closes the client's.
type attemptBody struct {
	*attempt
	read    int64
	reading atomic.Bool
	closed  atomic.Bool
}

// attempt gives the body to an attempt, from its beginning, and the context that
// it is to have.
func (b *requestBody) attempt(ctx context.Context) (*attemptBody, context.Context) {
	ctx, end := context.WithCancel(ctx)
	a := &attempt{body: b, end: end}
	return &attemptBody{attempt: a}, httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:              a.got,
		GotFirstResponseByte: func() { a.answered.Store(true); a.forget() },
	})
}

func (a *attempt) got(conn httptrace.GotConnInfo) {
	if c, one := conn.Conn.(*carrier); one {
		a.carrier.Store(c)
	}
}

// forget lets go what is kept, once that is of no use to anybody.
func (a *attempt) forget() {
	if a.answered.Load() && a.caughtUp.Load() {
		a.body.forget()
	}
}

// again is for the HTTP/1 transport, which sends a second time what it could not
// send at all, and what is safe.
func (a *attempt) again() (io.ReadCloser, error) {
	if a.body.spent() {
		return nil, errBodySpent
	}
	a.caughtUp.Store(false)
	return &attemptBody{attempt: a}, nil
}

// unheard is for the HTTP/2 transport, which asks where a back end does not look
// at the request. It would try the same one again, for a minute.
func unheard() (io.ReadCloser, error) { return nil, errUnheard }

func (a *attemptBody) Read(p []byte) (int, error) {
	c := a.carrier.Load()
	if c == nil {
		return a.take(p)
	}
	if !c.begin(a.body) {
		return 0, errUnsent
	}
	n, err := a.take(p)
	if !c.finish() && err != nil && err != io.EOF {
		err = errUnsent
	}
	return n, err
}

func (a *attemptBody) take(p []byte) (n int, err error) {
	a.reading.Store(true)
	defer func() {
		a.read += int64(n)
		a.reading.Store(false)
	}()
	if a.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	if n, known, err := a.body.known(a.read, p); known {
		return n, err
	}
	a.body.reading.Lock()
	defer a.body.reading.Unlock()
	if n, known, err := a.body.known(a.read, p); known { // an earlier attempt has read it
		return n, err
	}
	a.caughtUp.Store(true)
	a.forget()
	return a.body.read(p)
}

// Close ends a read that is under way: the HTTP/2 transport waits for it before it
// tells what has become of the attempt, and the client may say nothing for ever.
// Before there is an answer, what it brings may be for another attempt, so that
// it is the attempt that ends. For the HTTP/1 transport, the carrier sees to that.
func (a *attemptBody) Close() error {
	a.closed.Store(true)
	switch {
	case !a.reading.Load() || a.carrier.Load() != nil:
	case a.answered.Load():
		a.body.leave()
	default:
		time.AfterFunc(endPatience, a.end)
	}
	return nil
}
