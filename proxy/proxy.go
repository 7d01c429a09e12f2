// Package proxy forwards HTTP requests and TCP connections from listeners on
// this machine to the back ends of a pool. What it promises: a request that
// reached no back end goes to another one; while none is there but one is
// expected, it waits; and a back end that leaves is let go without a loss.
//
// HTTP/1 clients have limits: 30 s for a head, and 2 minutes each for the rest
// before the next request, for a pause within a body, and, on Linux, for taking
// nothing of what is there for them. A back end has 2 s to take a connection, and
// for its answer, and between the parts of it, all the time there is, as in
// Kubernetes: what is slow is not broken, and the client's end frees it. TCP
// connections, upgraded ones and the bodies of HTTP/2 may be silent for ever.
package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"skiff/proxy/accept"
	"skiff/proxy/lines"
	"skiff/proxy/pool"
)

// Mode is what a listener takes its connections to carry.
type Mode int

const (
	TCP  Mode = iota // balanced per connection
	HTTP             // balanced per request
	UDP              // balanced per client
)

func (m Mode) String() string { return [...]string{"TCP", "HTTP", "UDP"}[m] }

// Listener says what is served at an address.
type Listener struct {
	Name    string // for the log
	Address string // ip:port; for UDP with UDPSuffix
	Mode    Mode
	Pool    *pool.Pool
	H2C     bool // the back ends speak HTTP/2 without TLS, whatever the client speaks

	// Router, if not nil, says for each HTTP request where it goes; Pool is only
	// told then of those that go nowhere. TLS, if not nil, is what clients speak.
	Router Router
	TLS    *tls.Config
}

// suit sets what connections that are yet to come get from the socket.
func (what *Listener) suit(inner net.Listener) error {
	unread := unreadTimeout
	if what.Mode == TCP {
		unread = 0
	}
	if err := inherit(inner, unread, what.clientBegins()); err != nil {
		return fmt.Errorf("set options of %s: %w", what.Name, err)
	}
	return nil
}

// clientBegins says whether clients have something to say before they hear
// anything.
func (what *Listener) clientBegins() bool { return what.Mode == HTTP }

// Options of a Proxy.
type Options struct {
	// Dial reaches back ends; nil: the network of this machine.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	Log  *slog.Logger
	// Hold and MaxWaiting are for the pools that NewPool makes; 0: pool's own.
	Hold       time.Duration
	MaxWaiting int
	// Linger bounds what Run waits, after its context has ended, for requests
	// and connections to end; 0: 5 s.
	Linger time.Duration
	// Lines are sockets that another process has opened: they are taken over
	// instead of opening those addresses.
	Lines *lines.Set
}

// ErrClosed is the answer to Listen once Run has ended.
var ErrClosed = errors.New("proxy closed")

var errShutdown = errors.New("the proxy is shutting down")

// Proxy is a set of listeners. They accept connections while Run runs.
type Proxy struct {
	options Options
	serving sync.WaitGroup
	ending  chan struct{} // closed when Run's context has ended
	clients tally

	reactors reactors // since Run

	spareMu sync.Mutex // never held while another one is taken
	spare   int        // goroutines that wait for a connection where another one does

	mu     sync.Mutex           // guards all below
	open   map[string]*listener // by address
	relays map[string]*relay    // those of UDP
	serve  func(server)         // nil before Run
	lent   bool                 // another process is about to have the listeners
	closed bool
}

// New makes a proxy without listeners.
func New(o Options) *Proxy {
	if o.Dial == nil {
		o.Dial = (&net.Dialer{}).DialContext
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Linger == 0 {
		o.Linger = 5 * time.Second
	}
	return &Proxy{options: o, ending: make(chan struct{}), open: map[string]*listener{}, relays: map[string]*relay{}}
}

// server is an open address.
type server interface {
	run(base context.Context) // until it is closed and nothing goes on there
}

// NewPool makes a pool for listeners of this proxy. Whoever asks for it closes it.
func (p *Proxy) NewPool() *pool.Pool {
	return pool.New(pool.Options{Dial: p.options.Dial, Hold: p.options.Hold, MaxWaiting: p.options.MaxWaiting})
}

// Listen opens a listener. If its address is open already, what it serves is
// changed: established connections stay, and HTTP ones send their next request
// to the new pool. The error of an address that is taken satisfies
// errors.Is(err, syscall.EADDRINUSE). ctx bounds this call, not the listener.
// After Lend, an address that is not open is the other process's to open.
func (p *Proxy) Listen(ctx context.Context, what Listener) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	if what.Mode == UDP {
		return p.listenUDP(what)
	}
	if l := p.open[what.Address]; l != nil {
		l.serves.Store(&what)
		return what.suit(l.inner)
	}
	if p.lent {
		return nil
	}
	l, err := p.listenTCP(ctx, what)
	if err != nil {
		return fmt.Errorf("listen for %s: %w", what.Name, err)
	}
	p.open[what.Address] = l
	if p.serve != nil {
		p.serve(l)
	}
	return nil
}

func (p *Proxy) listenTCP(ctx context.Context, what Listener) (*listener, error) {
	inner, free := p.options.Lines.TCP(what.Address)
	if inner == nil {
		opened, err := listenConfig().Listen(ctx, "tcp", what.Address)
		if err != nil {
			return nil, err
		}
		inner, free = opened.(*net.TCPListener), atOnce
	}
	lazy, err := accept.Lazily(inner)
	if err != nil {
		return nil, errors.Join(err, inner.Close())
	}
	l := newListener(p, entrance{inner, lazy, free}, what)
	if err := what.suit(inner); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// atOnce is what a listener waits for that nobody else accepts from.
var atOnce = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

func (p *Proxy) listenUDP(what Listener) error {
	if r := p.relays[what.Address]; r != nil {
		r.serves.Store(&what)
		return nil
	}
	if p.lent {
		return nil
	}
	r, err := newRelay(p, what)
	if err != nil {
		return err
	}
	p.relays[what.Address] = r
	if p.serve != nil {
		p.serve(r)
	}
	return nil
}

// Close stops accepting at an address. Established connections go on until
// they end or their back ends are drained; idle HTTP connections are closed, and
// those reset that have not been accepted, as of clients that have said nothing.
func (p *Proxy) Close(address string) {
	p.mu.Lock()
	l := p.open[address]
	r := p.relays[address]
	delete(p.open, address)
	delete(p.relays, address)
	p.mu.Unlock()
	if l != nil {
		l.close()
	}
	if r != nil {
		r.close()
	}
}

// Run serves until ctx ends. Then it closes the listeners, gives what is in
// flight Options.Linger to end, and returns when every connection is closed.
func (p *Proxy) Run(ctx context.Context) error {
	base, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(nil)

	p.mu.Lock()
	if p.closed || p.serve != nil {
		p.mu.Unlock()
		return errors.New("run proxy: it runs or ran already")
	}
	if err := p.reactors.open(); err != nil {
		p.options.Log.Warn("TCP connections get goroutines of their own", "reason", err)
	}
	reacting, still := context.WithCancel(context.WithoutCancel(ctx))
	var reactors sync.WaitGroup
	reactors.Go(func() { p.reactors.run(reacting) })
	defer reactors.Wait()
	defer still()
	p.serve = func(s server) { p.serving.Go(func() { s.run(base) }) }
	for _, l := range p.open {
		p.serve(l)
	}
	for _, r := range p.relays {
		p.serve(r)
	}
	p.mu.Unlock()

	<-ctx.Done()

	p.mu.Lock()
	p.closed = true
	for _, l := range p.open {
		l.close()
	}
	for _, r := range p.relays {
		r.close()
	}
	clear(p.open)
	clear(p.relays)
	close(p.ending)
	p.mu.Unlock()
	timer := time.AfterFunc(p.options.Linger, func() { cut(errShutdown) })
	defer timer.Stop()
	p.serving.Wait()
	return nil
}
