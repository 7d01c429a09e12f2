package proxy

import (
	"errors"
	"net"
	"syscall"
	"time"
)

// wire is a connection on the lean path. On a socket of this system it makes
// its system calls itself: so it takes a buffer only when there is something
// to read, and sees whether a connection that has rested is still good.
type wire struct {
	net.Conn
	raw  syscall.RawConn // nil: no socket of this system
	op   operation
	sent delivery
	step func(fd uintptr) bool // op.step, bound once
	send func(fd uintptr) bool // sent.step
	till time.Time             // the deadline for reading that is set
}

// operation is what the system calls under way are for.
type operation struct {
	out    []byte // to be sent first; what is left of it could not be sent at once
	check  bool   // before that, see whether the connection is still good
	in     []byte // for what is read; nil: nothing is
	lender lender // gives in when it is needed
	noWait bool   // give up where there is nothing to read
	n      int
	err    error
}

// delivery is what is being written.
type delivery struct {
	rest []byte
	last bool // nothing comes after it
	err  error
}

// lender has a buffer for those who wait for long and do not need it meanwhile.
type lender interface {
	lend() []byte
	giveBack()
}

// errStale: the peer had ended a connection before anything was sent on it.
var errStale = errors.New("the connection had been closed")

func newWire(conn net.Conn) *wire {
	w := &wire{Conn: conn}
	if socket, ok := conn.(syscall.Conn); ok && rawSockets {
		if raw, err := socket.SyscallConn(); err == nil {
			w.raw = raw
			w.step, w.send = w.op.step, w.sent.step
		}
	}
	return w
}

func (w *wire) read(p []byte) (int, error) {
	if w.raw == nil {
		return w.Conn.Read(p)
	}
	w.op = operation{in: p}
	return w.run()
}

// readLent asks for the buffer only once there is something to read.
func (w *wire) readLent(from lender) (int, error) {
	if w.raw == nil {
		return w.Conn.Read(from.lend())
	}
	w.op = operation{lender: from}
	return w.run()
}

// tryRead reads what is there already, which may be nothing.
func (w *wire) tryRead(p []byte) (int, error) {
	if w.raw == nil {
		return 0, nil
	}
	w.op = operation{in: p, noWait: true}
	return w.run()
}

// ask sends out and reads the first bytes of the answer to p, if that is not
// nil. Where the connection proves to be of no use before anything has been
// sent, the error is errStale.
func (w *wire) ask(out, p []byte) (n int, err error) {
	if w.raw != nil {
		w.op = operation{out: out, check: true, in: p}
		if n, err = w.run(); err != nil || n > 0 {
			return n, err
		}
		out = w.op.out
	}
	if len(out) > 0 {
		if _, err = w.Write(out); err != nil {
			return 0, err
		}
	}
	if p == nil {
		return 0, nil
	}
	return w.read(p)
}

func (w *wire) run() (int, error) {
	err := w.raw.Read(w.step)
	if err == nil {
		err = w.op.err
	}
	w.op.in, w.op.lender = nil, nil
	return w.op.n, err
}

// Write is for one goroutine at a time.
func (w *wire) Write(p []byte) (int, error) { return w.deliver(p, false) }

// WriteLast writes what is the last. Where it can, it ends this direction of the
// connection with the same packet: two would cost the peer a second awakening.
func (w *wire) WriteLast(p []byte) (int, error) { return w.deliver(p, true) }

func (w *wire) deliver(p []byte, last bool) (int, error) {
	if w.raw == nil {
		return w.Conn.Write(p)
	}
	w.sent = delivery{rest: p, last: last}
	err := w.raw.Write(w.send)
	if err == nil {
		err = w.sent.err
	}
	n := len(p) - len(w.sent.rest)
	w.sent.rest = nil
	return n, err
}

// within bounds how long a read may wait. It sets the clock anew only where
// that makes a difference, since this is done for every request.
func (w *wire) within(d time.Duration) {
	now := time.Now()
	if left := w.till.Sub(now); left > d || left < d-d/8 {
		w.till = now.Add(d)
		w.SetReadDeadline(w.till)
	}
}

// interrupt ends a read that another goroutine is in; patient lets reads wait
// for ever, and again after interrupt.
func (w *wire) interrupt() { w.SetReadDeadline(longAgo) }

func (w *wire) patient() {
	w.till = time.Time{}
	w.SetReadDeadline(w.till)
}

var longAgo = time.Unix(1, 0)

// CloseWrite ends one direction, where the connection can do that.
func (w *wire) CloseWrite() error {
	if half, ok := w.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
