package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"skiff/proxy/pool"
)

const (
	dialTimeout = 2 * time.Second
	idlePerHost = 256

	// Application servers close idle connections too: gunicorn after 2 s,
	// Node.js after 5 s. A request that is written at that very moment is
	// lost, and a POST must not be sent twice; so the proxy closes first.
	upstreamIdle = 1500 * time.Millisecond

	// continueTimeout: a client that sent "Expect: 100-continue" sends its
	// body anyway if it hears nothing for about that long.
	continueTimeout  = time.Second
	maxUpstreamHead  = 1 << 20
	upstreamBufBytes = 8 << 10
)

type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// upstream is the way to one back end: connections of the lean path that rest,
// a transport for HTTP/1.1 and one for HTTP/2 for what is rare, and every
// connection that one of them has open.
type upstream struct {
	dial     dialer
	one, two *http.Transport

	mu       sync.Mutex
	conns    map[*upstreamConn]struct{}
	idle     []*backConn // the one that rested last comes last
	leaving  bool        // nothing comes to rest any more
	closed   bool
	asked    *question // nil: it is to be asked what it speaks
	sweeper  *time.Timer
	sweeping bool // it is set
}

func upstreamOf(b *pool.Backend, dial dialer) *upstream {
	return b.Upstream(func() pool.Upstream { return newUpstream(dial) }).(*upstream)
}

func newUpstream(dial dialer) *upstream {
	u := &upstream{dial: dial, conns: map[*upstreamConn]struct{}{}}
	u.one = &http.Transport{
		DialContext:            u.connectCarrier,
		DisableCompression:     true,
		MaxIdleConnsPerHost:    idlePerHost,
		IdleConnTimeout:        upstreamIdle,
		ExpectContinueTimeout:  continueTimeout,
		MaxResponseHeaderBytes: maxUpstreamHead,
		WriteBufferSize:        upstreamBufBytes,
		ReadBufferSize:         upstreamBufBytes,
	}
	u.two = u.one.Clone()
	u.two.DialContext = u.connectStrictly
	u.one.Protocols = new(http.Protocols)
	u.one.Protocols.SetHTTP1(true)
	u.two.Protocols = new(http.Protocols)
	u.two.Protocols.SetUnencryptedHTTP2(true)
	return u
}

func (u *upstream) transport(http2 bool) *http.Transport {
	if http2 {
		return u.two
	}
	return u.one
}

// CloseIdle closes what carries no request.
func (u *upstream) CloseIdle() {
	u.dropIdle()
	u.one.CloseIdleConnections()
	u.two.CloseIdleConnections()
}

// Close closes every connection, also those that a transport opened ahead of
// need and never used: a Go server that shuts down waits 5 s for such a one.
func (u *upstream) Close() {
	u.CloseIdle()
	u.mu.Lock()
	u.closed = true
	conns := u.conns
	u.conns = nil
	u.mu.Unlock()
	for c := range conns {
		c.Conn.Close()
	}
}

// reachError: no connection to the back end could be made.
type reachError struct{ err error }

func (e *reachError) Error() string { return e.err.Error() }
func (e *reachError) Unwrap() error { return e.err }

var errUpstreamClosed = errors.New("the back end has left")

// connectCarrier is open for HTTP/1.
func (u *upstream) connectCarrier(ctx context.Context, _, address string) (net.Conn, error) {
	conn, err := u.open(ctx, address)
	if err != nil {
		return nil, err
	}
	return &carrier{upstreamConn: conn}, nil
}

// connectStrictly is open for HTTP/2.
func (u *upstream) connectStrictly(ctx context.Context, _, address string) (net.Conn, error) {
	conn, err := u.open(ctx, address)
	if err != nil {
		return nil, err
	}
	return &strictConn{Conn: conn}, nil
}

func (u *upstream) open(ctx context.Context, address string) (*upstreamConn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := u.dial(ctx, "tcp", address)
	if err != nil {
		return nil, &reachError{err}
	}
	c := &upstreamConn{Conn: conn, upstream: u}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		conn.Close()
		return nil, &reachError{errUpstreamClosed}
	}
	u.conns[c] = struct{}{}
	return c, nil
}

type upstreamConn struct {
	net.Conn
	upstream *upstream
}

func (c *upstreamConn) Close() error {
	c.upstream.mu.Lock()
	delete(c.upstream.conns, c)
	c.upstream.mu.Unlock()
	return c.Conn.Close()
}

// CloseWrite ends one direction, for upgraded connections.
func (c *upstreamConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
