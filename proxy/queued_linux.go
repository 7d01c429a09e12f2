package proxy

import "golang.org/x/sys/unix"

// hungUp says whether the peer has ended the connection, whatever it sent before.
func hungUp(fd uintptr) bool {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	n, err := unix.Poll(p, 0)
	return err == nil && n > 0
}

// broken says whether the connection has been ended as a whole, by whoever.
func (w *wire) broken() (over bool) {
	if w.raw == nil {
		return false
	}
	err := w.raw.Control(func(fd uintptr) {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd)}}, 0)
		over = err == nil && n > 0
	})
	return err != nil || over
}

// queued says how much can be read without waiting.
func (w *wire) queued() int { return w.queue(unix.TIOCINQ) }

// unsent says how much was written that the other end has not got.
func (w *wire) unsent() int { return w.queue(unix.TIOCOUTQ) }

func (w *wire) queue(which uint) (n int) {
	if w.raw != nil {
		w.raw.Control(func(fd uintptr) { n = queue(int(fd), which) })
	}
	return n
}

// queue is how much is in one of a socket's queues: what can be read (TIOCINQ), or
// what its other end has not got (TIOCOUTQ).
func queue(fd int, which uint) int {
	n, err := unix.IoctlGetInt(fd, which)
	if err != nil {
		return 0
	}
	return n
}
