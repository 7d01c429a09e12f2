package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"skiff/proxy/pool"
)

// clientError: the client cannot be written to.
type clientError struct{ err error }

func (e *clientError) Error() string { return "write to client: " + e.err.Error() }
func (e *clientError) Unwrap() error { return e.err }

// answer passes the back end's answer to the client.
func (x *exchange) answer(claim *pool.Claim, res *http.Response, k *link) error {
	x.begun.Store(true)
	x.answered, x.status = true, res.StatusCode
	removeHopByHop(res.Header)
	h := x.w.Header()
	maps.Copy(h, res.Header)
	if x.parting() {
		h.Set("Connection", "close") // in HTTP/2 the server says GOAWAY for it
	}
	if _, set := h["Content-Type"]; !set {
		h["Content-Type"] = nil // else the server guesses one
	}
	announced := len(res.Trailer)
	for name := range res.Trailer {
		h.Add("Trailer", name)
	}
	x.w.WriteHeader(res.StatusCode)

	control := http.NewResponseController(x.w)
	defer limitWrites(claim, control)()
	if err := x.copyBody(claim, res, k, control.Flush); err != nil {
		return err
	}
	prefix := http.TrailerPrefix
	if len(res.Trailer) == announced {
		prefix = ""
	}
	for name, values := range res.Trailer {
		h[prefix+name] = values
	}
	return nil
}

// limitWrites keeps a client that does not read from holding up a drain: once
// the claim is cut, writes to the client have a deadline. The connection may
// carry another request later, so the end takes the deadline back.
func limitWrites(claim *pool.Claim, control *http.ResponseController) (end func()) {
	var mu sync.Mutex
	over := false
	stop := context.AfterFunc(claim.Context(), func() {
		mu.Lock()
		defer mu.Unlock()
		if !over {
			control.SetWriteDeadline(time.Now().Add(goodbyePatience))
		}
	})
	return func() {
		if stop() {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		over = true
		control.SetWriteDeadline(time.Time{})
	}
}

// copyBody sends a body whose length is not known as it comes: the head before
// the first byte, and each part at once.
func (x *exchange) copyBody(claim *pool.Claim, res *http.Response, k *link, flush func() error) error {
	streamed := res.ContentLength == -1
	if streamed {
		if err := flush(); err != nil {
			return &clientError{err}
		}
	}
	if strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		events := k.parted(&eventTracker{})
		claim.Stream(pool.Events, nil)
		claim.Answered(res.StatusCode)
		_, err := events.copy(claim, x.w, res.Body)
		return err
	}
	if x.isCall() && isGRPC(res.Header) {
		return x.copyCall(claim, res, k)
	}
	buffer := getBuffer()
	defer putBuffer(buffer)
	for {
		n, err := res.Body.Read(*buffer)
		if n > 0 {
			if _, werr := x.w.Write((*buffer)[:n]); werr != nil {
				return &clientError{werr}
			}
			if streamed {
				if ferr := flush(); ferr != nil {
					return &clientError{ferr}
				}
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (x *exchange) verdict(err error) verdict {
	if x.body != nil && x.body.late.Load() && !x.answered {
		return verdict{errBodyLate.Status, pool.Refused, errBodyLate.Reason}
	}
	return judge(err, x.r.Context().Err() != nil)
}

// fail tells the client what went wrong, as far as that is still possible.
func (x *exchange) fail(v verdict) {
	if x.answered || v.why == pool.ClientGone {
		panic(http.ErrAbortHandler) // the only way to an answer that is seen to be cut off
	}
	h := x.w.Header()
	clear(h)
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	if v.code == http.StatusServiceUnavailable {
		h.Set("Retry-After", "1")
	}
	if x.location != "" {
		h.Set("Location", x.location)
	}
	x.w.WriteHeader(v.code)
	fmt.Fprintf(x.w, "%d %s: %s\n", v.code, strings.ToLower(http.StatusText(v.code)), v.text)
}

// verdict is what a client is told of an error, and whose fault that is. Where
// code is 0, nobody is there to be told.
type verdict struct {
	code int
	why  pool.Cause
	text string
}

func judge(err error, clientGone bool) verdict {
	var unavailable *pool.UnavailableError
	var reach *reachError
	var gone *clientError
	var timeout net.Error
	switch {
	case errors.Is(err, errShutdown):
		return verdict{http.StatusServiceUnavailable, pool.Shutdown, errShutdown.Error()}
	case errors.Is(err, pool.ErrStreamCut):
		return verdict{http.StatusServiceUnavailable, pool.Cut, "the application is being stopped; another try goes elsewhere"}
	case errors.Is(err, pool.ErrRequestCut):
		return verdict{http.StatusServiceUnavailable, pool.Cut, "the application took longer than its grace period allows; it is being stopped"}
	case clientGone, errors.As(err, &gone):
		return verdict{why: pool.ClientGone}
	case errors.As(err, &unavailable):
		return verdict{http.StatusServiceUnavailable, pool.Unavailable, unavailable.Reason}
	case errors.As(err, &reach):
		if errors.As(err, &timeout) && timeout.Timeout() {
			return verdict{http.StatusGatewayTimeout, pool.Unreached, "no connection to the application in time: " + reach.Error()}
		}
		return verdict{http.StatusBadGateway, pool.Unreached, "no connection to the application: " + reach.Error()}
	}
	return verdict{http.StatusBadGateway, pool.Broken, "the application ended the connection without a proper answer: " + err.Error()}
}

// bodyWithin bounds a pause within the body as the lean path does. One that comes
// by HTTP/2 may be a stream that has nothing to say.
func (x *exchange) bodyWithin(d time.Duration) {
	if x.r.ProtoMajor != 1 {
		return
	}
	until := time.Time{}
	if d > 0 {
		until = time.Now().Add(d)
	}
	http.NewResponseController(x.w).SetReadDeadline(until)
}

// leaveBody ends an exchange whose request body may not have been read to its
// end. The transport must not read it any more, and the server, which would
// wait for a read that is under way, is kept from waiting for the client. Once
// the handler has returned there is no connection any more to act on.
func (x *exchange) leaveBody() {
	x.body.mu.Lock()
	defer x.body.mu.Unlock()
	if x.body.over {
		return
	}
	x.body.left.Store(true)
	if !x.body.ended.Load() && x.body.touched.Load() {
		http.NewResponseController(x.w).SetReadDeadline(time.Now())
	}
}

// endBody is leaveBody for the last time.
func (x *exchange) endBody() {
	x.leaveBody()
	x.body.mu.Lock()
	defer x.body.mu.Unlock()
	x.body.over = true
}
