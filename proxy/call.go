package proxy

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"golang.org/x/net/http2"

	"skiff/proxy/pool"
)

// What a gRPC client is told, of the codes that gRPC has.
const (
	callDeadlineExceeded = 4
	callUnavailable      = 14
)

// callRest is how long nothing must come of an answer that has begun until its
// call is taken for one that does not end by itself. A call that is answered
// once ends with that message, and one that goes on telling something has an end.
const callRest = 2 * time.Second

// isCall says whether the request is a call of gRPC.
func (x *exchange) isCall() bool { return x.r.ProtoMajor == 2 && isGRPC(x.r.Header) }

// copyCall passes the messages of an answer on. A call that rests is a stream
// like others: a drain ends it between two messages, in words that have the
// client try again, and does not wait for it as for a request.
func (x *exchange) copyCall(claim *pool.Claim, res *http.Response, k *link) error {
	messages, turned := k.parted(&messageTracker{}), make(chan struct{})
	var turn *time.Timer
	messages.passed = func(whole bool) {
		switch {
		case turn == nil && !whole: // an answer that has not begun is waited for
		case turn == nil:
			turn = time.AfterFunc(callRest, func() {
				claim.Stream(pool.Calls, nil)
				close(turned)
			})
		case turn.Stop():
			turn.Reset(callRest)
		}
	}
	ended, err := messages.copy(claim, x.w, res.Body)
	if turn != nil && !turn.Stop() {
		<-turned
		claim.Answered(res.StatusCode)
	}
	if ended {
		return context.Cause(claim.Context())
	}
	return err
}

// failCall tells a gRPC client what went wrong in gRPC's own words. Of an answer
// that is no gRPC its library makes what it can, and an application that gives
// a call up at its deadline would look like one that is broken: it does so at
// the moment when the client does as well, and either may be first.
func (x *exchange) failCall(err error, v verdict) {
	code := callUnavailable
	var reset http2.StreamError
	if errors.As(err, &reset) && reset.Code == http2.ErrCodeCancel && x.r.Header.Get("Grpc-Timeout") != "" {
		code = callDeadlineExceeded
	}
	h := x.w.Header()
	prefix := http.TrailerPrefix
	if !x.answered {
		clear(h)
		h.Set("Content-Type", "application/grpc")
		prefix = ""
	}
	h[prefix+"Grpc-Status"] = []string{strconv.Itoa(code)}
	h[prefix+"Grpc-Message"] = []string{url.PathEscape(v.text)}
	if !x.answered {
		x.w.WriteHeader(http.StatusOK)
	}
}
