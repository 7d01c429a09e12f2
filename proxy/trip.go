package proxy

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"skiff/proxy/http1"
	"skiff/proxy/pool"
)

// trip is one request on the lean path: claim a back end, send the request,
// pass on the answer, and if no back end was reached, claim another.
type trip struct {
	*client
	onCut func(error) // cut, bound once

	pool     *pool.Pool
	claim    *pool.Claim
	out      *outbound // nil before the first back end is claimed
	body     upload
	begun    bool // something went to the client, if only a 1xx
	answered bool // the head of the final answer did
	keep     bool // the client's connection carries another request

	mu      sync.Mutex // never held while anything is waited for
	back    *backConn  // the connection that a cut closes
	cause   error      // why the trip was cut
	goodbye bool       // a cut has set the deadline for writing to the client
	events  *stream
}

// outbound is what a trip needs besides the request.
type outbound struct {
	out []byte // composed for either side, the request first
	in  []byte // what the back end sent
	res http1.Response
}

const (
	composedBytes = 20 << 10
	answerBytes   = 16 << 10
)

var outbounds = sync.Pool{New: func() any {
	return &outbound{out: make([]byte, 0, composedBytes), in: make([]byte, answerBytes)}
}}

// run says whether the connection can carry another request.
func (t *trip) run(from *pool.Pool) (again bool) {
	t.pool, t.begun, t.answered = from, false, false
	t.keep = !t.in.req.Close
	t.body.begin(&t.in.req)
	t.mu.Lock()
	t.cause, t.events = context.Cause(t.ctx), nil
	t.mu.Unlock()

	var claim *pool.Claim
	var err error
	for attempt := 1; ; attempt++ {
		t.watch.begin()
		claim, err = from.ClaimFor(t.ctx, addressOf(t.RemoteAddr()), claim)
		if err != nil {
			from.Failed(nil, t.verdict(err).why)
			break
		}
		var again bool
		if again, err = t.try(claim, attempt == maxAttempts); !again {
			break
		}
	}
	if err != nil {
		err = t.fail(err)
	}
	t.watch.end(nil)
	t.letGo()
	return err == nil && t.finish()
}

func (t *trip) letGo() {
	if t.out != nil && cap(t.out.out) == composedBytes && len(t.out.in) == answerBytes {
		outbounds.Put(t.out)
	}
	t.out = nil
}

// finish leaves the client's connection as the next request, or its closing,
// needs it.
func (t *trip) finish() (again bool) {
	if len(t.body.rest) > 0 { // the client's next requests
		t.in.r, t.in.w = 0, 0
		for len(t.in.room()) < len(t.body.rest) {
			t.in.buf = make([]byte, 2*len(t.in.buf))
		}
		t.in.w = copy(t.in.buf, t.body.rest)
	}
	switch {
	case t.body.ended.Load() && t.keep && !t.listener.closing.Load():
		return true
	case !t.body.ended.Load(), t.queued() > 0:
		t.linger()
	}
	return false
}

// try is one attempt. What is over with it is counted before the claim ends: a
// drain that has ended has seen all there was.
func (t *trip) try(claim *pool.Claim, last bool) (again bool, err error) {
	t.claim = claim
	defer t.release()
	err = t.forward(claim)
	switch {
	case err == nil:
		claim.Answered(t.out.res.Status)
	case last || !t.mayRetry(err):
		t.pool.Failed(claim, t.verdict(err).why)
	default:
		return true, err
	}
	return false, err
}

// forward sends the request over connections to the claimed back end until one
// of them is good. A *reachError says that no back end has seen the request.
func (t *trip) forward(claim *pool.Claim) error {
	claim.OnCut(t.onCut)
	up := upstreamOf(claim.Backend(), t.listener.proxy.options.Dial)
	if t.out == nil {
		t.out = outbounds.Get().(*outbound)
		if err := t.compose(); err != nil {
			return err
		}
	}
	for fresh := false; ; {
		conn, err := t.connection(up, fresh)
		if err != nil {
			return t.withCause(err)
		}
		err = t.over(conn)
		if err == nil || !conn.used || t.isCut() {
			return t.withCause(err)
		}
		// A connection that had been used may have met its end meanwhile,
		// which says nothing about the back end.
		if fresh = !errors.Is(err, errStale); fresh && !t.mayRepeat(err) {
			return err
		}
	}
}

// release ends the claim. From then on no cut comes any more, and the client's
// connection may have another answer to carry.
func (t *trip) release() {
	t.claim.Release()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.goodbye {
		t.goodbye = false
		t.SetWriteDeadline(time.Time{})
	}
}

func (t *trip) connection(up *upstream, fresh bool) (*backConn, error) {
	if !fresh {
		if conn := up.take(t.in.req.Safe() && t.body.none()); conn != nil {
			return conn, nil
		}
	}
	ctx := t.claim.Context()
	conn, err := up.open(ctx, t.claim.Backend().Address())
	if err != nil {
		if ctx.Err() == nil {
			t.claim.Unreachable()
		}
		return nil, err
	}
	return newBackConn(conn), nil
}

// over sends the request over one connection and passes on its answer.
func (t *trip) over(conn *backConn) (err error) {
	if err := t.attach(conn); err != nil {
		return err
	}
	reusable := false
	defer func() {
		t.detach()
		if reusable && t.body.ended.Load() {
			conn.rest()
		} else {
			conn.Close()
		}
	}()
	whole := t.body.ended.Load()
	var n int
	if whole {
		n, err = conn.ask(t.out.out, t.out.in)
	} else if _, err = conn.ask(t.out.out, nil); err == nil {
		t.watch.end(nil)
		t.watch.upload(conn)
		n, err = conn.read(t.out.in)
	}
	if err == nil {
		reusable, err = t.answer(conn, n)
	}
	if !whole {
		t.watch.end(conn)
		err = t.body.blame(err)
	}
	return err
}

// mayRetry: what has not been sent may go elsewhere. When a back end ended the
// connection instead of answering it may have done the work, so only what may
// be done twice goes on.
func (t *trip) mayRetry(err error) bool {
	if t.begun || t.isCut() {
		return false
	}
	var reach *reachError
	return errors.As(err, &reach) || errors.Is(err, errStale) || t.mayRepeat(err)
}

func (t *trip) mayRepeat(err error) bool {
	return !t.begun && t.body.none() && t.in.req.Safe() && connectionEnded(err)
}

func (t *trip) verdict(err error) verdict {
	var refusal *http1.Refusal
	if errors.As(err, &refusal) && !t.answered {
		return verdict{refusal.Status, pool.Refused, refusal.Reason}
	}
	return judge(err, errors.Is(context.Cause(t.ctx), errClientGone))
}

// fail tells the client what went wrong, as far as that is still possible.
func (t *trip) fail(err error) error {
	v := t.verdict(err)
	if t.answered || v.code == 0 {
		return err // closing the connection shows that the answer was cut off
	}
	t.watch.end(nil)
	t.keep = t.keep && t.body.ended.Load() && t.in.req.Minor == 1
	p := problem{status: v.code, text: v.text, close: !t.keep, headOnly: string(t.in.req.Method) == http.MethodHead}
	_, werr := t.Write(appendProblem(nil, p))
	return werr
}
