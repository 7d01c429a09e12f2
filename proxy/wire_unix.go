//go:build unix

package proxy

import (
	"io"
	"syscall"
)

const rawSockets = true

// step is called until it returns true. In between, the runtime waits until the
// socket becomes readable; what happens after the first call has begun is
// noticed, so out may be written in the course of it.
func (o *operation) step(fd uintptr) bool {
	if len(o.out) > 0 && !o.begin(fd) {
		return true
	}
	if o.in == nil && o.lender == nil {
		return true
	}
	if o.check { // what was sent is not answered yet
		o.check = false
		return false
	}
	buffer := o.in
	if buffer == nil {
		buffer = o.lender.lend()
	}
	n, err := readNow(fd, buffer)
	switch {
	case err == syscall.EAGAIN:
		if o.lender != nil {
			o.lender.giveBack()
		}
		return o.noWait
	case err != nil:
		o.err = err
	case n == 0:
		o.err = io.EOF
	}
	o.n = n
	return true
}

// begin sends what it can of out, and says whether that was all of it. A
// connection that rested has nothing to say; if it has, that is its end, or
// an answer to no question.
func (o *operation) begin(fd uintptr) bool {
	var nothing [1]byte
	if _, err := readNow(fd, nothing[:]); err != syscall.EAGAIN {
		o.err = errStale
		return false
	}
	n, err := writeNow(fd, o.out)
	switch {
	case err == syscall.EAGAIN:
	case err != nil:
		o.err = errStale // what the kernel does not take was not sent
	default:
		o.out = o.out[n:]
	}
	return err == nil && len(o.out) == 0
}

// step is called until it returns true. In between, the runtime waits until
// the socket takes more.
func (d *delivery) step(fd uintptr) bool {
	write := writeNow
	if d.last {
		write = writeLastNow
	}
	for len(d.rest) > 0 && d.err == nil {
		n, err := write(fd, d.rest)
		if err == syscall.EAGAIN {
			return false
		}
		d.rest, d.err = d.rest[n:], err
	}
	if d.last && d.err == nil {
		endNow(fd)
	}
	return true
}
