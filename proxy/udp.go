package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"skiff/proxy/pool"
)

// UDPSuffix ends the address of a listener for UDP: 127.0.0.1:53/udp.
const UDPSuffix = "/udp"

const (
	maxDatagram = 64 << 10
	// maxSessions bounds the clients of one listener, maxQueued what each may
	// send before a back end takes it, and maxWaiting the bytes of all of them.
	maxSessions = 4096
	maxQueued   = 64
	maxWaiting  = 4 << 20
	// evictionLooks are enough that a busy client is hardly ever taken for an
	// idle one.
	evictionLooks = 32
	// sessionIdle is how long a client that says nothing, and is told nothing,
	// keeps its back end. It is what the kernel gives a flow both ways of which
	// it has seen.
	sessionIdle = 2 * time.Minute
	// sessionParting is what a back end gets to answer where what the client says
	// next goes elsewhere: to another back end, or to another process.
	sessionParting = 5 * time.Second
)

// relay is one open address of UDP. A client, which is an address and port,
// has a session with one back end for as long as they talk.
type relay struct {
	proxy   *Proxy
	conn    *net.UDPConn
	serves  atomic.Pointer[Listener]
	ended   sync.WaitGroup
	free    <-chan struct{} // nil, or closed once no other process reads from conn
	leave   chan struct{}   // closed when another process is to read instead
	silent  chan struct{}   // closed when nothing is read here any more
	once    sync.Once       // of closing what follows
	closed  chan struct{}   // closed when nothing goes to the clients any more
	waiting atomic.Int64    // bytes that no back end has taken yet

	mu       sync.Mutex // guards sessions
	sessions map[netip.AddrPort]*session
}

func newRelay(p *Proxy, what Listener) (*relay, error) {
	conn, free := p.options.Lines.UDP(what.Address)
	if conn == nil {
		inner, err := net.ListenPacket("udp", strings.TrimSuffix(what.Address, UDPSuffix))
		if err != nil {
			return nil, fmt.Errorf("listen for %s: %w", what.Name, err)
		}
		conn, free = inner.(*net.UDPConn), nil
	}
	r := &relay{
		proxy: p, conn: conn, free: free, leave: make(chan struct{}), silent: make(chan struct{}), closed: make(chan struct{}),
		sessions: map[netip.AddrPort]*session{},
	}
	r.serves.Store(&what)
	return r, nil
}

// run serves until the address is closed or base ends, and returns when every
// session has ended.
func (r *relay) run(base context.Context) {
	ctx, cancel := context.WithCancel(base)
	defer r.ended.Wait()
	defer cancel()
	defer context.AfterFunc(base, r.close)()
	r.read(ctx)
	close(r.silent)
	if r.left() {
		<-r.closed // until then sessions pass on what is still answered
	}
}

// read hears the clients until the relay ends or another process reads instead.
func (r *relay) read(ctx context.Context) {
	if r.free != nil {
		select {
		case <-r.free:
		case <-r.leave:
			return
		case <-r.closed:
			return
		}
	}
	buffer := make([]byte, maxDatagram)
	for {
		n, from, err := r.conn.ReadFromUDPAddrPort(buffer)
		switch {
		case err == nil:
			r.take(ctx, from, append([]byte(nil), buffer[:n]...))
		case ctx.Err() != nil, errors.Is(err, net.ErrClosed), r.left():
			return
		} // else it is about a datagram, not about the socket
	}
}

// take hands a datagram to its client's session. What does not fit is dropped,
// as UDP may be at any time.
func (r *relay) take(ctx context.Context, from netip.AddrPort, datagram []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sessions[from]
	if s == nil || s.parting() {
		if len(r.sessions) >= maxSessions {
			r.evict()
		}
		s = &session{relay: r, client: from, queue: make(chan []byte, maxQueued), begun: time.Now()}
		ctx, s.end = context.WithCancel(ctx)
		r.sessions[from] = s
		r.proxy.clients.begin()
		r.ended.Go(func() {
			defer r.proxy.clients.end()
			s.run(ctx, r.serves.Load())
		})
	}
	size := int64(len(datagram))
	if r.waiting.Add(size) <= maxWaiting {
		select {
		case s.queue <- datagram:
			return
		default:
		}
	}
	r.waiting.Add(-size)
}

// evict ends the session that has been idle longest, of a few: to look at all of
// them for each new client would cost more than it is worth. mu is held.
func (r *relay) evict() {
	var oldest *session
	var longest time.Duration
	looks := evictionLooks
	for _, s := range r.sessions {
		if idle, _ := s.Rest(); oldest == nil || idle > longest {
			oldest, longest = s, idle
		}
		if looks--; looks == 0 {
			break
		}
	}
	delete(r.sessions, oldest.client)
	oldest.end()
}

func (r *relay) forget(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sessions[s.client] == s {
		delete(r.sessions, s.client)
	}
}

// session is what one client says to one back end, and hears from it.
type session struct {
	relay   *relay
	client  netip.AddrPort
	queue   chan []byte
	end     context.CancelFunc
	begun   time.Time
	last    atomic.Int64 // when a datagram last passed, since begun
	waiting atomic.Bool  // it came from the client
	upwards sync.Mutex   // locked while what the client sends is held back
	server  net.Conn
	backend atomic.Pointer[pool.Backend]
}

func (s *session) run(ctx context.Context, what *Listener) {
	defer s.discard()
	defer s.end()
	claim, err := what.Pool.ClaimFor(ctx, s.client.Addr().Unmap(), nil)
	if err != nil {
		what.Pool.Failed(nil, unserved(err))
		return
	}
	defer claim.Release()
	s.backend.Store(claim.Backend())
	dialing, cancel := context.WithTimeout(claim.Context(), dialTimeout)
	s.server, err = s.relay.proxy.options.Dial(dialing, "udp", claim.Backend().Address())
	cancel()
	if err != nil {
		what.Pool.Failed(claim, pool.Unreached)
		return
	}
	defer s.server.Close()
	claim.Stream(pool.UDP, s)
	claim.Answered(0)
	claim.Clean() // at any time: what is under way is whole datagrams
	defer context.AfterFunc(claim.Context(), s.Close)()
	ctx, over := context.WithCancel(claim.Context())
	var down sync.WaitGroup
	down.Go(func() {
		defer over()
		s.answers()
	})
	s.ask(ctx)
	s.Close()
	down.Wait()
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
	limit, leave, out := sessionIdle, s.relay.leave, s.backend.Load().Out()
	idle := time.NewTimer(limit)
	defer idle.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-leave: // the client is heard elsewhere from now on
			limit, leave = sessionParting, nil
			idle.Reset(0)
		case <-out: // its next datagram begins another session
			limit, out = sessionParting, nil
			idle.Reset(0)
		case <-idle.C:
			rest, _ := s.Rest()
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
func (s *session) Rest() (idle time.Duration, waiting bool) {
	return time.Since(s.begun) - time.Duration(s.last.Load()), s.waiting.Load()
}

// Hold keeps back what the client sends, until Resume.
func (s *session) Hold()   { s.upwards.Lock() }
func (s *session) Resume() { s.upwards.Unlock() }

// Close ends the session. The client's next datagram begins another.
func (s *session) Close() {
	s.relay.forget(s)
	s.server.Close()
}
