//go:build unix

package proxy

import (
	"syscall"
	"testing"
)

// A client whose machine went away without a word is noticed.
func TestConnectionsAreKeptAlive(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	dialRaw(t, f.address)
	var c *client
	eventually(t, "the connection is accepted", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, l := range f.open {
			for _, c = range l.all() {
				return true
			}
		}
		return false
	})
	c.raw.Control(func(fd uintptr) {
		if on, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_KEEPALIVE); on == 0 || err != nil {
			t.Errorf("SO_KEEPALIVE is %d, %v", on, err)
		}
	})
}
