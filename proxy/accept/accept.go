// Package accept takes the connections that come to a listener, for as long as
// that is open.
package accept

import (
	"errors"
	"log/slog"
	"net"
	"time"
)

const pause = 10 * time.Millisecond

// Each gives serve each connection, and returns once the listener is closed.
func Each(l net.Listener, log *slog.Logger, serve func(net.Conn)) {
	for {
		conn, ok := Next(l, log)
		if !ok {
			return
		}
		serve(conn)
	}
}

// Next waits for a connection; ok is false once the listener is closed. That
// there are no more descriptors, or no memory for sockets, is no reason to stop:
// it passes, while a listener that nobody serves stays so.
func Next(l net.Listener, log *slog.Logger) (conn net.Conn, ok bool) {
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
			return conn, true
		case errors.Is(err, net.ErrClosed):
			return nil, false
		default:
			log.Warn("accept a connection", "at", l.Addr().String(), "error", err)
			time.Sleep(pause) // let some go
		}
	}
}
