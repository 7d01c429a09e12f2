package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"skiff/proxy/pool"
)

// goodbyePatience bounds how long a stream that has to end may take to do so
// cleanly: to finish what it is in the middle of, and to hear the client out.
const goodbyePatience = time.Second

// eventStream passes server-sent events on, and can end between two of them.
type eventStream struct {
	cancel context.CancelCauseFunc // of the request to the back end

	mu      sync.Mutex // held while bytes are tracked and written
	tracker eventTracker
	ending  bool
}

// end lets the stream stop at the next boundary. Between two events that is
// now; within one, the rest of it is waited for.
func (s *eventStream) end(cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ending = true
	if s.tracker.boundary() {
		s.cancel(cause)
		return
	}
	// The cancel comes earlier, and this is moot, when the event ends.
	time.AfterFunc(goodbyePatience, func() { s.cancel(cause) })
}

// copy returns nil at the end of the stream and when it was ended cleanly.
func (s *eventStream) copy(claim *pool.Claim, w http.ResponseWriter, body io.Reader) error {
	flush := http.NewResponseController(w).Flush
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	write := func(chunk []byte) error {
		if _, err := w.Write(chunk); err != nil {
			return err
		}
		return flush()
	}
	for {
		n, err := body.Read(*buffer)
		ended, werr := s.pass(write, (*buffer)[:n])
		if werr != nil {
			return &clientError{werr}
		}
		if ended {
			claim.Clean()
			return nil
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			if claim.Context().Err() == nil {
				claim.Broke()
			}
			return err
		}
	}
}

// pass has write send a chunk at once, or as much of it as may still go.
func (s *eventStream) pass(write func([]byte) error, chunk []byte) (ended bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending && s.tracker.boundary() {
		return true, nil
	}
	if len(chunk) == 0 {
		return false, nil
	}
	if first := s.tracker.advance(chunk); s.ending && first > 0 {
		chunk, ended = chunk[:first], true
	}
	return ended, write(chunk)
}

// link is the connection between a claim and the request that was made for it:
// when the claim is cut, so is the request, but an event stream ends cleanly.
type link struct {
	cancel context.CancelCauseFunc

	mu     sync.Mutex
	events *eventStream
}

func (k *link) onCut(claim *pool.Claim) func() {
	return func() {
		cause := context.Cause(claim.Context())
		k.mu.Lock()
		events := k.events
		k.mu.Unlock()
		if events != nil && (errors.Is(cause, pool.ErrStreamCut) || errors.Is(cause, pool.ErrRequestCut)) {
			events.end(cause)
			return
		}
		k.cancel(cause)
	}
}

// stream turns the request into an event stream.
func (k *link) stream() *eventStream {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.events = &eventStream{cancel: k.cancel}
	return k.events
}
