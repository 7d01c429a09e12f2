package proxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"skiff/proxy/pool"
)

// splice joins two connections. It sees when bytes pass and in which direction
// the last ones went, so that a drain can close it at a moment of rest.
type splice struct {
	client, server *wire
	started        time.Time
	last           atomic.Int64 // when bytes last passed, since started
	talk           atomic.Int32 // what it is at
	upwards        sync.Mutex   // locked while what the client sends is held back
	heldBack       atomic.Bool  // something is
	closed         atomic.Bool
	brokenOff      atomic.Bool // by the back end
}

// What a conversation is at.
const (
	answered int32 = iota
	asked
	watching // the client has asked for news
)

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
	switch {
	case !up: // news are not the last ones
		s.talk.CompareAndSwap(asked, answered)
	case watches(chunk):
		s.talk.Store(watching)
	default:
		s.talk.Store(asked)
	}
}

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

// Rest says what has come last, and when. What is held back asks for an answer,
// though one to something earlier may come meanwhile.
func (s *splice) Rest() pool.Rest {
	talk := s.talk.Load()
	return pool.Rest{
		Idle:     time.Since(s.started) - time.Duration(s.last.Load()),
		Waiting:  talk == asked || s.heldBack.Load(),
		Watching: talk == watching,
	}
}

// Client is where the client is.
func (s *splice) Client() netip.Addr { return addressOf(s.client.RemoteAddr()) }

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
	// A header, flags, the kind of the first section, and the size of the document in it,
	// whose first element says by its name which command this is: see the
	// description of OP_MSG in MongoDB's wire protocol.
	const opMsg, opcode, command = 2013, 12, 16 + 4 + 1 + 4 + 1
	if len(request) < command || len(request) > 4096 || binary.LittleEndian.Uint32(request[opcode:]) != opMsg {
		return false
	}
	name, rest, ended := bytes.Cut(request[command:], []byte{0})
	return ended && slices.Contains(greetings, string(name)) && bytes.Contains(rest, []byte("maxAwaitTimeMS\x00"))
}

var greetings = []string{"hello", "isMaster", "ismaster"}
