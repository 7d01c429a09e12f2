//go:build unix

package proxy

import (
	"net"
	"syscall"
	"testing"

	"skiff/proxy/lines"
)

// A client whose machine went away without a word is noticed, whoever has opened
// the listener.
func TestConnectionsAreKeptAlive(t *testing.T) {
	t.Parallel()
	inherited, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inherited.Close()
	heirloom := lines.New()
	address := inherited.Addr().String()
	if err := heirloom.Add("tcp", address, copyOf(t, inherited.(*net.TCPListener))); err != nil {
		t.Fatal(err)
	}
	f := newFront(t, HTTP, Options{Lines: heirloom})
	if err := f.Listen(t.Context(), Listener{Name: "inherited", Address: address, Mode: HTTP, Pool: f.pool}); err != nil {
		t.Fatal(err)
	}
	heirloom.Free(nil)
	dialRaw(t, f.address)
	dialRaw(t, address)
	var all []*client
	eventually(t, "the connections are accepted", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		all = nil
		for _, l := range f.open {
			all = append(all, l.all()...)
		}
		return len(all) == 2
	})
	for _, c := range all {
		c.raw.Control(func(fd uintptr) {
			if on, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_KEEPALIVE); on == 0 || err != nil {
				t.Errorf("SO_KEEPALIVE is %d, %v", on, err)
			}
		})
	}
}
