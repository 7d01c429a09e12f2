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

// Clients come back to the back ends that they had in another pool, where those
// are, for as long as they were to.
func TestRecall(t *testing.T) {
	t.Parallel()
	dial := func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }
	before, now := New(Options{Dial: dial}), New(Options{Dial: dial})
	t.Cleanup(before.Close)
	t.Cleanup(now.Close)
	before.Stick(time.Hour)
	now.Stick(time.Hour)
	for _, id := range []string{"a", "b", "c", "d"} {
		before.Add(id, id+":80")
		if id != "d" {
			now.Add(id, id+":80")
		}
	}
	of := func(p *Pool, client byte) string {
		t.Helper()
		c, err := p.ClaimFor(t.Context(), netip.AddrFrom4([4]byte{10, 0, 0, client}), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Release()
		return c.Backend().ID()
	}
	had := map[byte]string{}
	for client := range byte(60) {
		had[client] = of(before, client)
	}
	before.Remove("a") // comes back as another
	before.Add("a", "a:80")
	stays := before.Stays()
	now.Recall(stays)
	for client, id := range had {
		if id != "a" && id != "d" && of(now, client) != id {
			t.Errorf("client %d had %s and has %s", client, id, of(now, client))
		}
	}
	for _, s := range stays {
		if s.For <= 0 || s.For > time.Hour || s.Backend == "a" {
			t.Errorf("stays %+v", s)
		}
	}
	now.Stick(0)
	now.Recall(stays)
	if n := len(now.Stays()); n != 0 {
		t.Errorf("%d clients stick to a pool that has none stick", n)
	}
}
