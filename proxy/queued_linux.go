package proxy

import "golang.org/x/sys/unix"

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
