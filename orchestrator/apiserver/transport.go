package apiserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"
)

// Transport calls h as if over HTTP, without a socket. What h flushes can be
// read at once; what it does not flush is kept until it returns. A request
// whose context ends, or whose body is closed, ends h's request context.
func Transport(h http.Handler) http.RoundTripper { return transport{h} }

type transport struct{ handler http.Handler }

func (t transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(req.Context())
	inner := req.Clone(ctx)
	inner.RequestURI = req.URL.RequestURI()
	inner.RemoteAddr = "in-process"
	if inner.Host == "" {
		inner.Host = req.URL.Host
	}
	if inner.Body == nil {
		inner.Body = http.NoBody
	}
	w := newExchange(cancel)
	go func() {
		defer cancel()
		defer func() { _ = inner.Body.Close() }()
		defer func() { w.finish(recover(), req.Context().Err()) }()
		t.handler.ServeHTTP(w, inner)
	}()
	select {
	case <-w.started:
	case <-req.Context().Done():
	}
	if err := req.Context().Err(); err != nil {
		w.abandon(err)
		return nil, err
	}
	return w.response(req), nil
}

// exchange is the ResponseWriter of one call. Until the first flush the body
// gathers in buffer; from then on it goes through a pipe.
type exchange struct {
	cancel  context.CancelFunc
	started chan struct{} // closed when status, header and the kind of body are settled

	// Only the handler's goroutine uses these before started is closed.
	header    http.Header
	status    int
	sent      http.Header
	buffer    bytes.Buffer
	streaming bool
	failure   error

	deadline time.Time // of a write; used by the handler's goroutine alone
	reader   *io.PipeReader
	writer   *io.PipeWriter
}

func newExchange(cancel context.CancelFunc) *exchange {
	w := &exchange{cancel: cancel, started: make(chan struct{}), header: http.Header{}}
	w.reader, w.writer = io.Pipe()
	return w
}

func (w *exchange) Header() http.Header { return w.header }

func (w *exchange) WriteHeader(status int) {
	if w.status != 0 || status < 200 { // informational answers have no reader here
		return
	}
	w.status = status
	w.sent = w.header.Clone()
}

func (w *exchange) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if !w.streaming {
		return w.buffer.Write(p)
	}
	if !w.deadline.IsZero() {
		late := time.AfterFunc(time.Until(w.deadline), func() {
			w.abandon(os.ErrDeadlineExceeded)
			w.cancel()
		})
		defer late.Stop()
	}
	return w.writer.Write(p)
}

// FlushError is what http.ResponseController calls. What was buffered is read
// before the pipe.
func (w *exchange) FlushError() error {
	w.WriteHeader(http.StatusOK)
	if !w.streaming {
		w.streaming = true
		close(w.started)
	}
	return nil
}

func (w *exchange) Flush() { _ = w.FlushError() }

// SetWriteDeadline makes a write that its reader does not take fail. As on a
// socket, nothing happens at the deadline while nothing is being written.
func (w *exchange) SetWriteDeadline(deadline time.Time) error {
	w.deadline = deadline
	return nil
}

// finish settles the exchange after the handler. panicked is what it recovered,
// left why the caller has gone, if it has.
func (w *exchange) finish(panicked any, left error) {
	w.failure = left
	if panicked != nil {
		w.failure = fmt.Errorf("handle request: %v", panicked)
		if err, ok := panicked.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			w.failure = io.ErrUnexpectedEOF
		}
	}
	_ = w.writer.CloseWithError(w.failure) // nil: io.EOF
	if !w.streaming {
		w.WriteHeader(http.StatusOK)
		close(w.started)
	}
}

// abandon ends the stream for both: the handler's writes fail, the caller
// reads err.
func (w *exchange) abandon(err error) { _ = w.writer.CloseWithError(err) }

func (w *exchange) response(req *http.Request) *http.Response {
	res := &http.Response{
		Status:        strconv.Itoa(w.status) + " " + http.StatusText(w.status),
		StatusCode:    w.status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        w.sent,
		ContentLength: -1,
		Request:       req,
	}
	buffered := bytes.NewReader(w.buffer.Bytes())
	body := &exchangeBody{exchange: w, Reader: buffered}
	if w.streaming {
		body.Reader = io.MultiReader(buffered, w.reader)
	} else {
		res.ContentLength = int64(buffered.Len())
		if w.failure != nil {
			body.Reader = io.MultiReader(buffered, w.reader)
		}
	}
	body.stop = context.AfterFunc(req.Context(), func() { w.abandon(req.Context().Err()) })
	res.Body = body
	return res
}

// exchangeBody ends the handler when its reader has had enough.
type exchangeBody struct {
	io.Reader
	exchange *exchange
	stop     func() bool
}

func (b *exchangeBody) Close() error {
	b.stop()
	b.exchange.cancel()
	return b.exchange.reader.Close()
}
