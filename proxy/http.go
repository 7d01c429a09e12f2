package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"sync/atomic"
	"syscall"

	"skiff/proxy/http1"
	"skiff/proxy/pool"
)

// maxAttempts bounds how many back ends one request tries. Each attempt that
// reaches none ejects a back end, so that more are tried only where they come
// and go faster than a request does.
const maxAttempts = 8

// exchange is one request on its way: claim a back end, forward, and if it was
// not reached, claim another.
type exchange struct {
	w       http.ResponseWriter
	r       *http.Request
	pool    *pool.Pool
	h2c     bool   // the back ends are said to speak HTTP/2
	two     bool   // and the one that is asked does
	proto   string // the scheme that the client used
	dial    dialer
	parting func() bool  // whether the connection is to end with the answer
	body    *requestBody // nil: the request has none

	begun    atomic.Bool // something went to the client, if only a 1xx
	answered bool        // the head of the final answer did
	status   int         // what it said
	location string      // where else the client is to ask
}

// ServeHTTP is the story of one HTTP request.
func (l *listener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	what := l.serves.Load()
	x := &exchange{w: w, r: r, pool: what.Pool, proto: what.proto(), dial: l.proxy.options.Dial, parting: l.parting}
	if r.Method == http.MethodConnect {
		x.pool.Failed(nil, pool.Refused)
		http.Error(w, "405 method not allowed: CONNECT is for forward proxies", http.StatusMethodNotAllowed)
		return
	}
	if !http1.ValidHost(r.Host) { // HTTP/2 lets it pass
		x.pool.Failed(nil, pool.Refused)
		x.fail(verdict{http.StatusBadRequest, pool.Refused, "malformed host"})
		return
	}
	to, nowhere := what.destination(r.Host, r.URL.RequestURI())
	if nowhere != nil {
		x.location = nowhere.location
		x.fail(verdict{nowhere.Status, pool.Refused, nowhere.Reason})
		return
	}
	x.pool, x.h2c = to.Pool, to.H2C
	if r.ProtoMajor == 1 {
		// An answer may begin before the request has ended, as through a cable.
		http.NewResponseController(w).EnableFullDuplex()
	}
	if r.Body != http.NoBody && r.ContentLength != 0 {
		x.body = &requestBody{body: r.Body, within: x.bodyWithin, leave: x.leaveBody, trailers: len(r.Trailer) > 0}
		defer x.endBody()
	}

	from, _ := netip.ParseAddrPort(r.RemoteAddr)
	var claim *pool.Claim
	var err error
	for attempt := 1; ; attempt++ {
		claim, err = x.pool.ClaimFor(r.Context(), from.Addr().Unmap(), claim)
		if err != nil {
			x.pool.Failed(nil, x.verdict(err).why)
			break
		}
		var again bool
		if again, err = x.try(claim, l, attempt == maxAttempts); !again {
			break
		}
	}
	if err == nil {
		return
	}
	v := x.verdict(err)
	if x.isCall() && v.why != pool.ClientGone {
		x.failCall(err, v)
		return
	}
	x.fail(v)
}

// try is one attempt. What is over with it is counted before the claim ends: a
// drain that has ended has seen all there was.
func (x *exchange) try(claim *pool.Claim, l *listener, last bool) (again bool, err error) {
	defer claim.Release()
	err = x.forward(claim, l)
	switch {
	case err == nil:
		claim.Answered(x.status)
	case last || !x.mayRetry(err):
		x.pool.Failed(claim, x.verdict(err).why)
	default:
		return true, err
	}
	return false, err
}

// forward sends the request to the claimed back end and its answer to the
// client. A *reachError says that no back end has seen the request.
func (x *exchange) forward(claim *pool.Claim, l *listener) error {
	ctx, cancel := context.WithCancelCause(x.r.Context())
	defer cancel(nil)
	k := &link{cancel: cancel}
	defer context.AfterFunc(claim.Context(), k.onCut(claim))()
	if x.body != nil {
		// The transport ends a request only after a read of its body, and the
		// client may send nothing more for ever.
		defer context.AfterFunc(ctx, x.leaveBody)()
	}
	up := upstreamOf(claim.Backend(), x.dial)
	res, err := x.roundTrip(ctx, cancel, up, claim.Backend())
	if err != nil {
		var reach *reachError
		if errors.As(err, &reach) && ctx.Err() == nil {
			claim.Unreachable()
		}
		return withCause(ctx, err)
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusSwitchingProtocols {
		return x.upgrade(claim, res, l)
	}
	if res.StatusCode < 200 { // the server would panic
		return fmt.Errorf("answer with status %q", res.Status)
	}
	return withCause(ctx, x.answer(claim, res, k))
}

// roundTrip sends the request and returns what the back end says to it.
func (x *exchange) roundTrip(ctx context.Context, cancel context.CancelCauseFunc, up *upstream, to *pool.Backend) (res *http.Response, err error) {
	if x.two, err = x.http2(ctx, up, to.Address()); err != nil {
		return nil, err
	}
	interim := newInterim(x)
	defer interim.end()
	ctx = interim.trace(ctx)
	if x.two && x.body == nil {
		ctx = sentOnce(ctx, cancel)
	}
	return up.transport(x.two).RoundTrip(x.outgoing(ctx, to))
}

// http2 says whether the request goes on to a back end as HTTP/2: where that is
// known to speak it, and for gRPC, which needs it.
func (x *exchange) http2(ctx context.Context, up *upstream, address string) (bool, error) {
	switch {
	case upgradeOf(x.r.Header) != "":
		return false, nil
	case x.isCall() || !x.h2c:
		return x.isCall(), nil
	}
	return up.speaksHTTP2(ctx, address)
}

// sentOnce keeps the HTTP/2 transport from sending a request without a body again:
// before it does, it asks nobody, but says which connection it takes.
func sentOnce(ctx context.Context, cancel context.CancelCauseFunc) context.Context {
	sent := false
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
		if sent {
			cancel(errUnheard)
		}
		sent = true
	}})
}

// mayRetry: what no back end was sent, or will look at, may go elsewhere. When
// one ended the connection instead of answering it may have done the work, so
// only what may be done twice goes on.
func (x *exchange) mayRetry(err error) bool {
	if x.begun.Load() || x.r.Context().Err() != nil {
		return false
	}
	var reach *reachError
	if errors.As(err, &reach) || errors.Is(err, errUnheard) {
		return x.body == nil || !x.body.spent()
	}
	return x.body == nil && safe(x.r.Method) && connectionEnded(err)
}

func safe(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

func connectionEnded(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// withCause tells a request that was cut from one that failed by itself.
func withCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
		return &cutError{cause: cause, err: err}
	}
	return err
}

type cutError struct{ cause, err error }

func (e *cutError) Error() string   { return e.cause.Error() + ": " + e.err.Error() }
func (e *cutError) Unwrap() []error { return []error{e.cause, e.err} }
