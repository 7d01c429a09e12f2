package pool

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"
)

// A client comes back to its back end for as long as that is there, and for as
// long as it was said to.
func TestStick(t *testing.T) {
	t.Parallel()
	p := New(Options{Dial: func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }})
	t.Cleanup(p.Close)
	for _, id := range []string{"a", "b", "c", "d"} {
		p.Add(id, id+":80")
	}
	claim := func(client byte) string {
		t.Helper()
		c, err := p.ClaimFor(t.Context(), netip.AddrFrom4([4]byte{10, 0, 0, client}), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Release()
		return c.Backend().ID()
	}
	spread := func(client byte) int {
		seen := map[string]bool{}
		for range 60 {
			seen[claim(client)] = true
		}
		return len(seen)
	}
	if n := spread(1); n != 4 {
		t.Errorf("without sticking one client reaches %d back ends of 4", n)
	}
	p.Stick(time.Hour)
	first := claim(1)
	if n := spread(1); n != 1 {
		t.Errorf("a client that sticks reaches %d back ends", n)
	}
	others := map[string]bool{}
	for client := byte(2); client < 60; client++ {
		others[claim(client)] = true
	}
	if len(others) != 4 {
		t.Errorf("all clients together reach %d back ends of 4", len(others))
	}
	p.Remove(first)
	if second := claim(1); second == first || claim(1) != second {
		t.Errorf("after its back end left the client has %s, then %s", second, claim(1))
	}
	p.Stick(time.Nanosecond)
	if n := spread(1); n != 3 {
		t.Errorf("after its time a client reaches %d back ends of 3", n)
	}
}
