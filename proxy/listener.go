package proxy

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	headTimeout  = 30 * time.Second
	idleTimeout  = 2 * time.Minute
	maxHeadBytes = 256 << 10
)

// listener is one open address. It hands TCP connections to the relay and is,
// as a net.Listener, the source of the HTTP server's connections.
type listener struct {
	proxy  *Proxy
	inner  net.Listener
	serves atomic.Pointer[Listener]
	server *http.Server
	base   context.Context // of connections; set before the first is accepted
	conns  sync.WaitGroup

	mu     sync.Mutex
	unused map[net.Conn]struct{} // HTTP connections that have not sent a byte
}

func newListener(p *Proxy, inner net.Listener, what Listener) *listener {
	l := &listener{proxy: p, inner: inner, unused: map[net.Conn]struct{}{}}
	l.serves.Store(&what)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	l.server = &http.Server{
		Handler:                      l,
		Protocols:                    protocols,
		ReadHeaderTimeout:            headTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeadBytes,
		DisableGeneralOptionsHandler: true,
		BaseContext:                  func(net.Listener) context.Context { return l.base },
		ConnState:                    l.track,
		ErrorLog:                     slog.NewLogLogger(p.options.Log.With("listener", what.Name).Handler(), slog.LevelDebug),
	}
	return l
}

// run serves until the listener is closed, and then until the last connection
// is. When base ends, connections are cut.
func (l *listener) run(base context.Context) {
	l.base = base
	l.server.Serve(l) // ends with the error of Accept on a closed listener
	l.closeUnused()
	if l.server.Shutdown(base) != nil {
		// The requests that were cut still get to say so.
		last, cancel := context.WithTimeout(context.WithoutCancel(base), goodbyePatience)
		defer cancel()
		if l.server.Shutdown(last) != nil {
			l.server.Close()
		}
	}
	l.conns.Wait()
}

// Accept returns the next HTTP connection; TCP ones it deals with.
func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.inner.Accept()
		if err != nil {
			return nil, err
		}
		what := l.serves.Load()
		if what.Mode == HTTP {
			return conn, nil
		}
		l.conns.Go(func() { l.proxy.serveTCP(l.base, conn, what) })
	}
}

func (l *listener) Close() error   { return l.inner.Close() }
func (l *listener) Addr() net.Addr { return l.inner.Addr() }

// track counts the server's connections, so that run can join them, and knows
// those that never carried a request: the server's Shutdown would wait 5 s for
// each of them. A hijacked connection ends with its handler, which counts it.
func (l *listener) track(conn net.Conn, state http.ConnState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.unused, conn)
	switch state {
	case http.StateNew:
		l.conns.Add(1)
		l.unused[conn] = struct{}{}
	case http.StateHijacked, http.StateClosed:
		l.conns.Done()
	}
}

func (l *listener) closeUnused() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for conn := range l.unused {
		conn.Close()
	}
}
