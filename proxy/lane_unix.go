//go:build unix

package proxy

import (
	"io"
	"net"
	"syscall"
)

// take is called until it returns true. In between, the runtime waits until
// more comes than there was when take began. So it takes all there is, and what
// is short is passed on from here.
func (l *lane) take(fd uintptr) bool {
	for {
		if l.splice.closed.Load() { // which waits for whoever reads
			l.err = net.ErrClosed
			return true
		}
		if l.chunk == nil {
			l.chunk = getBuffer()
		}
		n, err := readNow(fd, *l.chunk)
		if n == 0 {
			l.drop()
			if err == syscall.EAGAIN {
				return false
			}
			if l.err = err; err == nil {
				l.err = io.EOF
			}
			return true
		}
		l.came(n)
		if n < len(*l.chunk) && l.splice.mayPass(l.up) && l.to.raw != nil {
			l.to.raw.Control(l.offer)
		}
		if len(l.rest) > 0 {
			return true
		}
	}
}

// give passes on what the other side has room for. An error comes again.
func (l *lane) give(fd uintptr) {
	if n, err := writeNow(fd, l.rest); err == nil {
		l.rest = l.rest[n:]
	}
}
