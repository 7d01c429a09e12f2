package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"skiff/proxy/accept"
	"skiff/proxy/http1"
	"skiff/proxy/pool"
)

const (
	inboundBytes  = 8 << 10
	lingerTimeout = 500 * time.Millisecond
)

// inbound is what a client sent and has not been used yet, and the head that
// was read last, whose parts lie in buf.
type inbound struct {
	buf  []byte
	r, w int // buf[r:w] is unused
	head int // length of the head that lies at r
	req  http1.Request
}

var inbounds = sync.Pool{New: func() any { return &inbound{buf: make([]byte, inboundBytes)} }}

func (in *inbound) unused() []byte { return in.buf[in.r:in.w] }

// room makes place for more behind what is unused.
func (in *inbound) room() []byte {
	if in.r > 0 {
		in.w = copy(in.buf, in.unused())
		in.r = 0
	}
	if in.w == len(in.buf) {
		in.buf = append(in.buf, make([]byte, len(in.buf))...)
	}
	return in.buf[in.w:]
}

// What a client's connection is at. Whoever moves it on from resting decides:
// the next request, or the closing of the listener.
const (
	resting int32 = iota
	busy
	dismissed
)

// client is the connection of one HTTP/1 client on the lean path: a goroutine
// that reads a head, sees to its answer, and reads the next one.
type client struct {
	*wire
	listener   *listener
	address    string
	proto      string          // the scheme of its requests
	socket     syscall.RawConn // below TLS; nil: no socket of this system
	ctx        context.Context // ends with the connection; its cause says why
	leave      context.CancelCauseFunc
	state      atomic.Int32
	in         *inbound // nil while it rests
	used       bool     // a request has been answered
	handedOver bool
	trip       trip
	watch      watch
}

func clientOf(l *listener, conn net.Conn) *client {
	what := l.serves.Load()
	c := &client{wire: newWire(conn), listener: l, proto: what.proto()}
	if c.socket = c.raw; what.TLS != nil {
		c.wire = newWire(tls.Server(conn, what.TLS))
	}
	if tcp, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		c.address = tcp.IP.String()
	}
	c.ctx, c.leave = context.WithCancelCause(l.base)
	c.trip.client = c
	c.trip.onCut = c.trip.cut
	c.watch.client = c
	return c
}

// serve is the story of one connection.
func (c *client) serve() {
	defer c.end()
	if !c.handshake() {
		return
	}
	for {
		err := c.readHead()
		var refusal *http1.Refusal
		switch {
		case errors.As(err, &refusal):
			c.refuse(refusal)
			return
		case errors.Is(err, http1.ErrOdd):
			c.handOver()
			return
		case err != nil:
			return
		}
		what := c.listener.serves.Load()
		r := &c.in.req
		if r.Expect || r.Upgrade != nil || what.H2C {
			c.handOver()
			return
		}
		to, nowhere := what.destination(string(r.Host), string(r.Target))
		if nowhere != nil {
			if c.turnAway(nowhere) {
				continue
			}
			return
		}
		if to.H2C {
			c.handOver()
			return
		}
		c.in.r += c.in.head
		if !c.trip.run(to.Pool) {
			return
		}
		c.used = true
	}
}

// readHead waits for the next request and reads its head, which stays in the
// buffer. The error is one of http1's where the client is to hear of it.
func (c *client) readHead() error {
	if c.in == nil || c.in.r == c.in.w {
		if err := c.rest(); err != nil {
			return err
		}
	}
	if c.used { // some old clients end a body with an empty line more
		c.in.r += len(c.in.unused()) - len(bytes.TrimPrefix(c.in.unused(), crlf))
	}
	timed := !c.used // rest has set the clock for the first head
	var scan http1.Scan
	for {
		n, err := scan.End(c.in.unused())
		if err != nil {
			return err
		}
		if n == 0 && len(c.in.unused()) > maxHeadBytes || n > maxHeadBytes {
			return errHeadTooLarge
		}
		if n > 0 {
			c.in.head = n
			return c.in.req.Parse(c.in.unused()[:n])
		}
		if !timed {
			c.within(headTimeout)
			timed = true
		}
		n, err = c.read(c.in.room())
		if err != nil {
			return err
		}
		c.in.w += n
	}
}

var (
	crlf            = []byte("\r\n")
	errHeadTooLarge = &http1.Refusal{Status: http.StatusRequestHeaderFieldsTooLarge, Reason: "headers too large"}
)

// rest waits for the next request without a buffer.
func (c *client) rest() error {
	c.giveBack()
	c.state.Store(resting)
	if c.listener.closing.Load() && c.state.CompareAndSwap(resting, dismissed) {
		return net.ErrClosed
	}
	if c.used {
		c.within(idleTimeout)
	} else {
		c.within(headTimeout)
	}
	n, err := c.readLent(c)
	if !c.state.CompareAndSwap(resting, busy) {
		return net.ErrClosed
	}
	if err == nil {
		c.in.w = n
	}
	return err
}

// dismiss closes a connection that rests.
func (c *client) dismiss() {
	if c.state.CompareAndSwap(resting, dismissed) {
		c.Close()
	}
}

// lend and giveBack see to it that only those have a buffer who use it.
func (c *client) lend() []byte {
	c.in = inbounds.Get().(*inbound)
	c.in.r, c.in.w = 0, 0
	return c.in.buf
}

func (c *client) giveBack() {
	if c.in != nil && len(c.in.buf) == inboundBytes {
		inbounds.Put(c.in)
	}
	c.in = nil
}

// refuse answers what cannot be understood. What follows on the connection
// cannot be either.
func (c *client) refuse(why *http1.Refusal) {
	c.listener.serves.Load().Pool.Failed(nil, pool.Refused)
	out := appendProblem(nil, problem{status: why.Status, text: why.Reason, close: true})
	if _, err := c.Write(out); err == nil {
		c.linger()
	}
}

// handOver gives the connection to the HTTP server for what is rare, with all
// that was read of it.
func (c *client) handOver() {
	c.patient()
	early := bytes.Clone(c.in.unused())
	c.giveBack()
	c.listener.rare.take(&earlyConn{Conn: c.Conn, early: early})
	c.handedOver = true
}

// linger lets the client read the last answer: it would be lost with the reset
// that the closing of a connection with unread bytes brings.
func (c *client) linger() {
	if c.CloseWrite() != nil {
		return
	}
	c.SetReadDeadline(time.Now().Add(lingerTimeout))
	var discarded [512]byte
	for {
		if _, err := c.Conn.Read(discarded[:]); err != nil {
			return
		}
	}
}

// reset has the client find its connection broken, and not ended: with TLS, too,
// which would say goodbye.
func (c *client) reset() {
	conn := c.Conn
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	if socket, ok := accept.Socket(conn); ok {
		socket.SetLinger(0)
	}
	conn.Close()
}

func (c *client) end() {
	c.leave(nil)
	c.giveBack()
	c.listener.forget(c)
	if !c.handedOver {
		c.Close()
		c.listener.proxy.clients.end()
	}
}
