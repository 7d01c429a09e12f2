package gateway

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"
)

const (
	greetTimeout = 5 * time.Second
	maxGreeting  = 64 // connections of one address that have not said yet who they are
)

// greet finds out whether a connection is the daemon's, and what it is for.
// Any Pod can open one; few are listened to at a time, and not for long.
func (g *Gateway) greet(ctx context.Context, raw net.Conn) {
	conn := tls.Server(raw, g.tls)
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	tag, err := g.tagOf(ctx, conn)
	if err != nil {
		g.options.Log.Debug("refused a connection", "from", raw.RemoteAddr().String(), "error", err)
		raw.Close()
		return
	}
	if tag == linkTag {
		defer stop()
		g.serve(ctx, conn)
		return
	}
	stop() // the tunnel is its client's now
	g.mu.Lock()
	wanted := g.tunnels[tag]
	delete(g.tunnels, tag)
	g.mu.Unlock()
	if wanted == nil {
		conn.Close()
		return
	}
	wanted <- conn
}

var errBusy = errors.New("too many strangers from there")

// admit lets few of one address in at a time, so that no Pod keeps the daemon
// out. leave is to be called once it is known who one is.
func (g *Gateway) admit(from net.Addr) (leave func(), err error) {
	address, err := netip.ParseAddrPort(from.String())
	if err != nil {
		return nil, err
	}
	source := address.Addr()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.greeting[source] >= maxGreeting {
		return nil, errBusy
	}
	g.greeting[source]++
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.greeting[source]--; g.greeting[source] == 0 {
			delete(g.greeting, source)
		}
	}, nil
}

func (g *Gateway) tagOf(ctx context.Context, conn *tls.Conn) (uint64, error) {
	leave, err := g.admit(conn.RemoteAddr())
	if err != nil {
		return 0, err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, greetTimeout)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		return 0, err
	}
	var tag [8]byte
	if err := conn.SetReadDeadline(time.Now().Add(greetTimeout)); err != nil {
		return 0, err
	}
	if _, err := io.ReadFull(conn, tag[:]); err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint64(tag[:]), conn.SetReadDeadline(time.Time{})
}
