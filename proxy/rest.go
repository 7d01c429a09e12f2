package proxy

import (
	"net"
	"sync/atomic"
	"time"
)

// splice is a pool.Resting: Rest and Close let a drain end it between two
// exchanges.

// Rest says how long nothing has passed in either direction, and whether the
// back end has something to answer.
func (s *splice) Rest() (idle time.Duration, waiting bool) {
	client, clientOK := lastReceived(s.client)
	server, serverOK := lastReceived(s.server)
	if !clientOK || !serverOK {
		up, down := s.lastUp.Load(), s.lastDown.Load()
		return time.Since(time.Unix(0, max(up, down))), up > down
	}
	// Bytes that came from the client while it was parked are older than the
	// connection to the back end, and wait for an answer nevertheless.
	unanswered := client.bytes > 0 && server.bytes == 0
	return min(client.age, server.age), unanswered || client.age < server.age
}

// received is what a socket knows about the bytes that came in.
type received struct {
	age   time.Duration // of the last ones; without any, of the connection
	bytes uint64
}

// stamping notes when bytes are written, for connections whose kernel does not
// tell. It hides what the connection can do beyond writing, and with it the
// kernel's own way of copying.
type stamping struct {
	to net.Conn
	at *atomic.Int64
}

func (s stamping) Write(p []byte) (int, error) {
	s.at.Store(time.Now().UnixNano())
	return s.to.Write(p)
}
