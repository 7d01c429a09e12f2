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
func (w *wire) queued() int {
	n := 0
	if w.raw == nil {
		return n
	}
	w.raw.Control(func(fd uintptr) {
		n, _ = unix.IoctlGetInt(int(fd), unix.TIOCINQ)
	})
	return n
}
