package proxy

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"skiff/proxy/lines"
	"skiff/proxy/pool"
)

// session is what one client says to one back end, and hears from it.
type session struct {
	relay   *relay
	client  netip.AddrPort
	queue   chan []byte
	ctx     context.Context
	end     context.CancelFunc
	begun   time.Time
	last    atomic.Int64 // when a datagram last passed, since begun
	waiting atomic.Bool  // it came from the client
	upwards sync.Mutex   // locked while what the client sends is held back
	claim   *pool.Claim
	server  net.Conn
	backend atomic.Pointer[pool.Backend]
	joined  atomic.Bool // server is there
}

// takeUp has the session go on where another process has left it, if its back
// end is still there.
func (s *session) takeUp(from *pool.Pool, f lines.Flow) bool {
	defer f.Socket.Close() // of which the connection has a copy
	claim, err := from.Resume(s.ctx, f.Backend)
	if err != nil {
		s.end()
		return false
	}
	server, err := net.FileConn(f.Socket)
	if err != nil {
		claim.Release()
		s.end()
		return false
	}
	s.join(claim, server)
	return true
}

func (s *session) run(what *Listener) {
	defer s.discard()
	defer s.end()
	if s.claim == nil && !s.reach(what) {
		return
	}
	defer s.claim.Release()
	defer s.server.Close()
	s.claim.Stream(pool.UDP, s)
	s.claim.Answered(0)
	s.claim.Clean() // at any time: what is under way is whole datagrams
	defer context.AfterFunc(s.claim.Context(), s.Close)()
	ctx, over := context.WithCancel(s.claim.Context())
	var down sync.WaitGroup
	down.Go(func() {
		defer over()
		s.answers()
	})
	s.ask(ctx)
	s.Close()
	down.Wait()
}

// reach claims a back end and opens a socket to it.
func (s *session) reach(what *Listener) bool {
	claim, err := what.Pool.ClaimFor(s.ctx, s.client.Addr().Unmap(), nil)
	if err != nil {
		what.Pool.Failed(nil, unserved(err))
		return false
	}
	s.backend.Store(claim.Backend())
	dialing, cancel := context.WithTimeout(claim.Context(), dialTimeout)
	defer cancel()
	server, err := s.relay.proxy.options.Dial(dialing, "udp", claim.Backend().Address())
	if err != nil {
		what.Pool.Failed(claim, pool.Unreached)
		claim.Release()
		return false
	}
	s.join(claim, server)
	return true
}

func (s *session) join(claim *pool.Claim, server net.Conn) {
	s.claim, s.server = claim, server
	s.backend.Store(claim.Backend())
	s.joined.Store(true)
}

// parting says whether its back end is one that no new request may reach.
func (s *session) parting() bool {
	b := s.backend.Load()
	if b == nil {
		return false
	}
	select {
	case <-b.Out():
		return true
	default:
		return false
	}
}

// ask passes on what the client sends, until nothing has passed either way for
// a while.
func (s *session) ask(ctx context.Context) {
	limit, part, out := sessionIdle, s.relay.part, s.backend.Load().Out()
	idle := time.NewTimer(limit)
	defer idle.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-part: // the client is heard elsewhere from now on
			limit, part = sessionParting, nil
			idle.Reset(0)
		case <-out: // its next datagram begins another session
			limit, out = sessionParting, nil
			idle.Reset(0)
		case <-idle.C:
			rest := s.Rest().Idle
			if rest >= limit {
				return
			}
			idle.Reset(limit - rest)
		case datagram := <-s.queue:
			s.relay.waiting.Add(-int64(len(datagram)))
			s.upwards.Lock()
			s.passed(true)
			_, err := s.server.Write(datagram)
			s.upwards.Unlock()
			if err != nil { // nobody listens there
				return
			}
		}
	}
}

// discard drops what no back end took.
func (s *session) discard() {
	s.relay.forget(s)
	for {
		select {
		case datagram := <-s.queue:
			s.relay.waiting.Add(-int64(len(datagram)))
		default:
			return
		}
	}
}

func (s *session) answers() {
	buffer := make([]byte, maxDatagram)
	for {
		n, err := s.server.Read(buffer)
		if err != nil {
			s.relay.forget(s) // what comes next goes to another back end
			return
		}
		s.passed(false)
		if _, err := s.relay.conn.WriteToUDPAddrPort(buffer[:n], s.client); err != nil {
			return
		}
	}
}

func (s *session) passed(upwards bool) {
	s.waiting.Store(upwards)
	s.last.Store(int64(time.Since(s.begun)))
}

// Rest is how long nothing has passed, and whether an answer is due.
func (s *session) Rest() pool.Rest {
	waiting := s.waiting.Load()
	return pool.Rest{Idle: time.Since(s.begun) - time.Duration(s.last.Load()), Asked: waiting, Waiting: waiting}
}

// Client is where the client is.
func (s *session) Client() netip.Addr { return s.client.Addr().Unmap() }

// Hold keeps back what the client sends, until Resume.
func (s *session) Hold()   { s.upwards.Lock() }
func (s *session) Resume() { s.upwards.Unlock() }

// Unread says whether there is a datagram to pass on.
func (s *session) Unread() bool { return len(s.queue) > 0 }

// Untaken is false: what a client does not take is gone.
func (s *session) Untaken() bool { return false }

// Close ends the session. The client's next datagram begins another.
func (s *session) Close() {
	s.relay.forget(s)
	s.server.Close()
}
