package proxy

import (
	"net"
	"sync/atomic"
	"time"

	"skiff/proxy/accept"
)

// backConn is a connection to a back end on the lean path.
type backConn struct {
	*wire
	to     *upstreamConn
	used   bool // it has carried a request before
	rested time.Time
	closed atomic.Bool
}

func newBackConn(to *upstreamConn) *backConn {
	w := newWire(to.Conn)
	w.Conn = to
	return &backConn{wire: w, to: to}
}

// socket is the connection as the kernel knows it, if it does.
func (c *backConn) socket() (*net.TCPConn, bool) {
	return accept.Socket(c.to.Conn)
}

func (c *backConn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	return c.to.Close()
}

// rest puts the connection where the next request finds it first: the others
// then get old, and are closed.
func (c *backConn) rest() {
	u := c.to.upstream
	c.used, c.rested = true, time.Now()
	u.mu.Lock()
	full := u.leaving || u.closed || len(u.idle) >= idlePerHost || c.closed.Load()
	if !full {
		u.idle = append(u.idle, c)
		if !u.sweeping {
			u.sweeping = true
			u.sweepAfter(upstreamIdle)
		}
	}
	u.mu.Unlock()
	if full {
		c.Close()
	}
}

// take gives the connection that rested last, or nil. Where the end of a
// connection cannot be seen before it is used, only what may be sent again
// goes over one that has rested.
func (u *upstream) take(again bool) *backConn {
	u.mu.Lock()
	defer u.mu.Unlock()
	last := len(u.idle) - 1
	if last < 0 || u.idle[last].raw == nil && !again {
		return nil
	}
	c := u.idle[last]
	u.idle[last] = nil
	u.idle = u.idle[:last]
	return c
}

// sweep closes connections that have rested for too long. Those that rested
// longest come first.
func (u *upstream) sweep() {
	u.mu.Lock()
	now, old := time.Now(), 0
	for old < len(u.idle) && now.Sub(u.idle[old].rested) >= upstreamIdle {
		old++
	}
	ended := append([]*backConn(nil), u.idle[:old]...)
	u.idle = append(u.idle[:0], u.idle[old:]...)
	clear(u.idle[len(u.idle):cap(u.idle)])
	if u.sweeping = len(u.idle) > 0; u.sweeping {
		u.sweepAfter(upstreamIdle - now.Sub(u.idle[0].rested))
	}
	u.mu.Unlock()
	for _, c := range ended {
		c.Close()
	}
}

// sweepAfter needs mu.
func (u *upstream) sweepAfter(d time.Duration) {
	if u.sweeper == nil {
		u.sweeper = time.AfterFunc(d, u.sweep)
	} else {
		u.sweeper.Reset(d)
	}
}

// dropIdle closes what rests, and what comes to rest from now on.
func (u *upstream) dropIdle() {
	u.mu.Lock()
	u.leaving = true
	ended := u.idle
	u.idle = nil
	u.mu.Unlock()
	for _, c := range ended {
		c.Close()
	}
}
