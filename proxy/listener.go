package proxy

import (
	"context"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"skiff/proxy/accept"
)

const (
	headTimeout = 30 * time.Second
	idleTimeout = 2 * time.Minute
	// unreadTimeout bounds how long a client may take nothing of an answer that
	// is there for it. A stream that has nothing to say is not meant.
	unreadTimeout = 2 * time.Minute
	maxHeadBytes  = 256 << 10
	// maxSpare bounds how many goroutines of a proxy wait for a connection where
	// another one does already.
	maxSpare = 32
)

// listener is one open address. It hands TCP connections to the relay, HTTP
// ones to the lean path, and those of them that are rare to an HTTP server.
type listener struct {
	proxy *Proxy
	entrance
	shut    chan struct{} // closed when close is called
	once    sync.Once
	serves  atomic.Pointer[Listener]
	server  *http.Server
	rare    *rareListener
	base    context.Context // of connections; set before the first is accepted
	closing atomic.Bool
	leaving atomic.Bool // another process accepts instead
	conns   sync.WaitGroup

	acceptors sync.WaitGroup
	turn      chan struct{} // holds one value, which the one takes that accepts; closed with the listener
	waiting   int           // for their turn, and the one that has it; guarded by proxy.spareMu
	closed    chan struct{} // no connection is accepted any more

	mu      sync.Mutex
	clients map[*client]struct{}
}

// entrance is where a listener's connections come in.
type entrance struct {
	inner net.Listener
	lazy  net.Listener    // of the same socket, for those that come with a request
	free  <-chan struct{} // closed once no other process accepts from it
}

func newListener(p *Proxy, in entrance, what Listener) *listener {
	l := &listener{
		proxy:    p,
		entrance: in,
		shut:     make(chan struct{}),
		rare:     newRareListener(in.inner.Addr()),
		turn:     make(chan struct{}, 1),
		waiting:  1,
		closed:   make(chan struct{}),
		clients:  map[*client]struct{}{},
	}
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
	select {
	case <-l.free:
		l.turn <- struct{}{}
		l.acceptors.Go(l.accept)
		<-l.closed
	case <-l.shut:
	}
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
	l.acceptors.Wait()
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

// close has no connection accepted any more.
func (l *listener) close() {
	l.once.Do(func() {
		close(l.shut)
		l.inner.Close()
		l.lazy.Close()
	})
}

// accept takes a connection, serves it, and takes the next one, until the
// listener is closed. So does every other goroutine here, of which one has the
// turn: a goroutine that has served a connection has the stack for another.
func (l *listener) accept() {
	for conn := l.next(); conn != nil; conn = l.next() {
		if !l.stepOut() {
			l.acceptors.Go(l.accept)
		}
		c := clientOf(l, conn)
		l.mu.Lock()
		l.clients[c] = struct{}{}
		l.mu.Unlock()
		c.serve()
		if !l.stepIn() {
			return
		}
	}
	l.stepOut()
}

// stepOut says whether others wait for a connection as well.
func (l *listener) stepOut() bool {
	l.proxy.spareMu.Lock()
	defer l.proxy.spareMu.Unlock()
	if l.waiting == 1 {
		return false
	}
	l.waiting--
	l.proxy.spare--
	return true
}

// stepIn says whether there is room for one that waits, besides the others.
func (l *listener) stepIn() bool {
	l.proxy.spareMu.Lock()
	defer l.proxy.spareMu.Unlock()
	if l.proxy.spare == maxSpare {
		return false
	}
	l.waiting++
	l.proxy.spare++
	return true
}

// next is the next connection that speaks HTTP. Nil: the listener is closed.
func (l *listener) next() net.Conn {
	if _, open := <-l.turn; !open {
		return nil
	}
	for {
		conn, ok := accept.Next(l.queue(), l.proxy.options.Log)
		if !ok {
			close(l.turn)
			close(l.closed)
			return nil
		}
		l.proxy.clients.begin()
		what := l.serves.Load()
		if what.Mode != TCP {
			l.turn <- struct{}{}
			return conn
		}
		if socket, ok := accept.Socket(conn); ok { // it was still HTTP's when it was accepted
			conn = socket
		}
		l.conns.Go(func() {
			defer l.proxy.clients.end()
			l.proxy.serveTCP(l.base, conn, what)
		})
	}
}

// queue is where the next connection is accepted from.
func (l *listener) queue() net.Listener {
	if what := l.serves.Load(); what.clientBegins() && what.TLS == nil { // which reads by package net
		return l.lazy
	}
	return l.inner
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
