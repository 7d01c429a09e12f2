package proxy

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	headTimeout  = 30 * time.Second
	idleTimeout  = 2 * time.Minute
	maxHeadBytes = 256 << 10
	acceptPause  = 10 * time.Millisecond
)

// listener is one open address. It hands TCP connections to the relay, HTTP
// ones to the lean path, and those of them that are rare to an HTTP server.
type listener struct {
	proxy   *Proxy
	inner   net.Listener
	serves  atomic.Pointer[Listener]
	server  *http.Server
	rare    *rareListener
	base    context.Context // of connections; set before the first is accepted
	closing atomic.Bool
	leaving atomic.Bool // another process accepts instead
	conns   sync.WaitGroup

	mu      sync.Mutex
	clients map[*client]struct{}
}

func newListener(p *Proxy, inner net.Listener, what Listener) *listener {
	l := &listener{proxy: p, inner: inner, rare: newRareListener(inner.Addr()), clients: map[*client]struct{}{}}
	l.serves.Store(&what)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
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
	var serving sync.WaitGroup
	serving.Go(func() { l.server.Serve(l.rare) })
	defer serving.Wait()
	var clients sync.WaitGroup
	l.accept(&clients)
	if l.leaving.Load() {
		<-l.proxy.ending
	}

	l.closing.Store(true)
	l.server.SetKeepAlivesEnabled(false)
	for _, c := range l.all() {
		c.dismiss()
	}
	stop := context.AfterFunc(base, func() {
		for _, c := range l.all() {
			c.trip.cut(errShutdown)
		}
	})
	defer stop()
	clients.Wait()
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

// accept returns when the listener is closed.
func (l *listener) accept(clients *sync.WaitGroup) {
	for {
		conn, err := l.inner.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // no more descriptors: let some go
			l.proxy.options.Log.Warn("accept a connection", "listener", l.serves.Load().Name, "error", err)
			time.Sleep(acceptPause)
			continue
		}
		l.proxy.clients.begin()
		what := l.serves.Load()
		if what.Mode == TCP {
			l.conns.Go(func() {
				defer l.proxy.clients.end()
				l.proxy.serveTCP(l.base, conn, what)
			})
			continue
		}
		c := clientOf(l, conn)
		l.mu.Lock()
		l.clients[c] = struct{}{}
		l.mu.Unlock()
		clients.Go(c.serve)
	}
}

func (l *listener) all() []*client {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Keys(l.clients))
}

func (l *listener) forget(c *client) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.clients, c)
}

// track counts the server's connections, so that run can join them. A hijacked
// connection ends with its handler, which counts it.
func (l *listener) track(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		l.conns.Add(1)
	case http.StateHijacked:
		l.conns.Done()
	case http.StateClosed:
		l.conns.Done()
		l.proxy.clients.end()
	}
}
