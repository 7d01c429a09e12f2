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

	"skiff/proxy/lines"
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
	free    <-chan []lines.Flow // nil, or gives what another process had going once it reads no more
	leave   chan struct{}       // closed when another process is to read instead
	silent  chan struct{}       // closed when nothing is read here any more
	part    chan struct{}       // closed when another process goes on with the sessions
	once    sync.Once           // of closing what follows
	closed  chan struct{}       // closed when nothing goes to the clients any more
	waiting atomic.Int64        // bytes that no back end has taken yet

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
		proxy: p, conn: conn, free: free, leave: make(chan struct{}), silent: make(chan struct{}), part: make(chan struct{}), closed: make(chan struct{}),
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
		case flows := <-r.free:
			r.resume(ctx, flows)
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
		s = r.begin(ctx, from)
		r.start(s)
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

// resume goes on with what clients and back ends were saying to each other.
func (r *relay) resume(ctx context.Context, flows []lines.Flow) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range flows {
		s := r.begin(ctx, f.Client)
		if s.takeUp(r.serves.Load().Pool, f) {
			r.start(s)
		}
	}
}

func (r *relay) forget(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sessions[s.client] == s {
		delete(r.sessions, s.client)
	}
}

// Below: mu is held.

// begin makes a session that does not run yet.
func (r *relay) begin(ctx context.Context, client netip.AddrPort) *session {
	s := &session{relay: r, client: client, queue: make(chan []byte, maxQueued), begun: time.Now()}
	s.ctx, s.end = context.WithCancel(ctx)
	return s
}

func (r *relay) start(s *session) {
	if len(r.sessions) >= maxSessions {
		r.evict()
	}
	r.sessions[s.client] = s
	r.proxy.clients.begin()
	r.ended.Go(func() {
		defer r.proxy.clients.end()
		s.run(r.serves.Load())
	})
}

// evict ends the session that has been idle longest, of a few: to look at all of
// them for each new client would cost more than it is worth.
func (r *relay) evict() {
	var oldest *session
	var longest time.Duration
	looks := evictionLooks
	for _, s := range r.sessions {
		if idle := s.Rest().Idle; oldest == nil || idle > longest {
			oldest, longest = s, idle
		}
		if looks--; looks == 0 {
			break
		}
	}
	delete(r.sessions, oldest.client)
	oldest.end()
}
