package proxy

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// splice joins two connections, with a goroutine for each direction.
type splice struct {
	conversation
	client, server *wire
	upwards        sync.Mutex // locked while what the client sends is held back
	closed         atomic.Bool
	broken         atomic.Bool // by the back end
}

func newSplice(client, server net.Conn) *splice {
	return &splice{
		conversation: conversation{who: addressOf(client.RemoteAddr()), started: time.Now()},
		client:       newWire(client),
		server:       newWire(server),
	}
}

func (s *splice) brokenOff() bool { return s.broken.Load() }

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
		s.broken.Store(true)
	}
	if err == io.EOF && to.CloseWrite() == nil {
		return
	}
	if err != io.EOF && !s.closed.Load() {
		s.reset(func(w *wire) bool { return w.unsent() == 0 }) // or what came before is still on its way there
	}
	s.Close()
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

// pass returns when what has come may go on.
func (s *splice) pass(up bool) {
	if up {
		s.heldBack.Store(true)
		s.upwards.Lock()
		//lint:ignore SA2001 the lock is a gate: a write may take long
		s.upwards.Unlock()
		s.talk.CompareAndSwap(answered, asked)
		s.heldBack.Store(false)
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

// Unread says whether the client has sent something that is still in its socket.
func (s *splice) Unread() bool { return s.client.queued() > 0 }

// Untaken says whether the client has yet to take something that the back end has
// sent. While there is no room for it, the client's socket is full.
func (s *splice) Untaken() bool { return s.client.unsent() > 0 || s.server.queued() > 0 }

// Close cuts both connections.
func (s *splice) Close() {
	s.closed.Store(true)
	s.client.Close()
	s.server.Close()
}

// abort cuts them with a reset where something is under way.
func (s *splice) abort() {
	if s.Rest().Waiting || s.Unread() || s.Untaken() {
		s.reset(func(*wire) bool { return true })
	}
	s.Close()
}

// reset has sides find their connections broken, and not ended, when they are closed.
func (s *splice) reset(which func(*wire) bool) {
	for _, w := range []*wire{s.client, s.server} {
		if tcp, ok := w.Conn.(interface{ SetLinger(seconds int) error }); ok && which(w) {
			tcp.SetLinger(0)
		}
	}
}
