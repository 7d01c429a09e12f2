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
// Only who has gone deaf takes that long: a machine that is busy must not tear
// what everybody else hears.
const goodbyePatience = 3 * time.Second

// stream passes an answer on that is made of parts, server-sent events or the
// messages of a gRPC call, and can end between two of them.
type stream struct {
	cancel context.CancelCauseFunc // of the request to the back end
	passed func(whole bool)        // called when something goes by, and whether a part ends with it; may be nil

	mu      sync.Mutex // held while bytes are tracked and written
	tracker tracker
	ending  bool
}

// end lets the stream stop at the next boundary. Between two parts that is now;
// within one, the rest of it is waited for.
func (s *stream) end(cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ending = true
	if s.tracker.boundary() {
		s.cancel(cause)
		return
	}
	// The cancel comes earlier, and this is moot, when the part ends.
	time.AfterFunc(goodbyePatience, func() { s.cancel(cause) })
}

// copy returns at the end of the stream, and says whether it was ended, cleanly,
// before that.
func (s *stream) copy(claim *pool.Claim, w http.ResponseWriter, body io.Reader) (ended bool, err error) {
	flush := http.NewResponseController(w).Flush
	parts := thrifty{from: body.Read}
	defer parts.drop()
	write := func(chunk []byte) error {
		if _, err := w.Write(chunk); err != nil {
			return err
		}
		return flush()
	}
	for {
		part, err := parts.next()
		ended, werr := s.pass(write, part)
		if werr != nil {
			return false, &clientError{werr}
		}
		if ended {
			claim.Clean()
			return true, nil
		}
		if err == io.EOF {
			return false, nil
		}
		if err != nil {
			if claim.Context().Err() == nil {
				claim.Broke()
			}
			return false, err
		}
	}
}

// pass has write send a chunk at once, or as much of it as may still go.
func (s *stream) pass(write func([]byte) error, chunk []byte) (ended bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending && s.tracker.boundary() {
		return true, nil
	}
	if len(chunk) == 0 {
		return false, nil
	}
	first := s.tracker.advance(chunk)
	if s.passed != nil {
		s.passed(first > 0)
	}
	if s.ending && first > 0 {
		chunk, ended = chunk[:first], true
	}
	return ended, write(chunk)
}

// link is the connection between a claim and the request that was made for it:
// when the claim is cut, so is the request, but a stream ends cleanly.
type link struct {
	cancel context.CancelCauseFunc

	mu     sync.Mutex
	stream *stream
}

func (k *link) onCut(claim *pool.Claim) func() {
	return func() {
		cause := context.Cause(claim.Context())
		k.mu.Lock()
		s := k.stream
		k.mu.Unlock()
		if s != nil && (errors.Is(cause, pool.ErrStreamCut) || errors.Is(cause, pool.ErrRequestCut)) {
			s.end(cause)
			return
		}
		k.cancel(cause)
	}
}

// parted has the answer pass as a stream, whose parts a tracker knows.
func (k *link) parted(by tracker) *stream {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stream = &stream{cancel: k.cancel, tracker: by}
	return k.stream
}
