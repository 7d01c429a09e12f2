package proxy

import (
	"net"
	"sync"
)

// rareListener hands connections that the lean path cannot serve to an HTTP
// server, as if they had just been accepted.
type rareListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
	addr   net.Addr
}

func newRareListener(addr net.Addr) *rareListener {
	return &rareListener{conns: make(chan net.Conn), closed: make(chan struct{}), addr: addr}
}

func (l *rareListener) take(conn net.Conn) {
	select {
	case l.conns <- conn:
	case <-l.closed:
		conn.Close()
	}
}

func (l *rareListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *rareListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *rareListener) Addr() net.Addr { return l.addr }

// earlyConn is a connection of which the beginning has been read already.
type earlyConn struct {
	net.Conn
	early []byte
}

func (c *earlyConn) Read(p []byte) (int, error) {
	if len(c.early) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.early)
	c.early = c.early[n:]
	return n, nil
}

// CloseWrite is for upgraded connections.
func (c *earlyConn) CloseWrite() error {
	return (&wire{Conn: c.Conn}).CloseWrite()
}
