package proxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// splice joins two connections. It sees when bytes pass and in which direction
// the last ones went, so that a drain can close it at a moment of rest.
type splice struct {
	client, server *wire
	started        time.Time
	last           atomic.Int64 // when bytes last passed, since started
	waiting        atomic.Bool  // they came from the client, and ask for an answer
	upwards        sync.Mutex   // locked while what the client sends is held back
	closed         atomic.Bool
	brokenOff      atomic.Bool // by the back end
}

func newSplice(client, server net.Conn) *splice {
	return &splice{client: newWire(client), server: newWire(server), started: time.Now()}
}

func (s *splice) run() {
	var up sync.WaitGroup
	up.Go(func() { s.copy(s.server, s.client) })
	s.copy(s.client, s.server)
	up.Wait()
}

// copy passes the end of one direction on, and leaves the other one alone: a
// client may well say all it has to say and then wait for the answer.
func (s *splice) copy(to, from *wire) {
	err := s.lane(to, from).pump()
	if s.byServer(err, from == s.server) && !s.closed.Load() {
		s.brokenOff.Store(true)
	}
	if err != io.EOF || to.CloseWrite() != nil {
		s.Close()
	}
}

// readError is one of the side that was read from.
type readError struct{ err error }

func (e *readError) Error() string { return "read: " + e.err.Error() }
func (e *readError) Unwrap() error { return e.err }

// byServer says whether an error is that of the back end's connection. Where the
// kernel moved the bytes it does not tell whose it is.
func (s *splice) byServer(err error, down bool) bool {
	var read *readError
	switch {
	case err == io.EOF, errors.Is(err, errMoved):
		return false
	case errors.As(err, &read):
		return down
	}
	return !down
}

var errMoved = errors.New("move bytes between sockets")

// note takes note of bytes that have come, and when.
func (s *splice) note(up bool, chunk []byte) {
	s.last.Store(int64(time.Since(s.started)))
	s.waiting.Store(up && !watches(chunk))
}

// pass returns when what has come may go on.
func (s *splice) pass(up bool) {
	if up {
		s.upwards.Lock()
		//lint:ignore SA2001 the lock is a gate: a write may take long
		s.upwards.Unlock()
	}
}

// mayPass says whether pass would return at once.
func (s *splice) mayPass(up bool) bool {
	if !up {
		return true
	}
	open := s.upwards.TryLock()
	if open {
		s.upwards.Unlock()
	}
	return open
}

// Hold keeps back what the client sends.
func (s *splice) Hold() { s.upwards.Lock() }

// Resume lets it go on.
func (s *splice) Resume() { s.upwards.Unlock() }

// Rest says how long nothing has come from either side, and whether the
// back end has something to answer.
func (s *splice) Rest() (idle time.Duration, waiting bool) {
	return time.Since(s.started) - time.Duration(s.last.Load()), s.waiting.Load()
}

// Unread says whether the client has sent something that is still in its socket.
func (s *splice) Unread() bool { return s.client.queued() > 0 }

// Close cuts both connections.
func (s *splice) Close() {
	s.closed.Store(true)
	s.client.Close()
	s.server.Close()
}

// watches says whether a request waits for news and not for a result, so that
// nothing is lost with it: it is the one by which a MongoDB driver watches its
// server, for up to ten seconds at a time. A long query looks the same from
// outside, and those are left alone.
func watches(request []byte) bool {
	const opMsg, header = 2013, 16
	return len(request) > header && len(request) < 4096 &&
		binary.LittleEndian.Uint32(request[12:]) == opMsg &&
		bytes.Contains(request, []byte("maxAwaitTimeMS"))
}
