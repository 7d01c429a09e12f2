package address

import (
	"net/netip"
	"testing"
)

func TestLease(t *testing.T) {
	t.Parallel()
	p := New(netip.MustParsePrefix("10.0.0.0/29")) // .1 to .6
	lease := func(owner, want string) {
		t.Helper()
		got, err := p.Lease(owner)
		if err != nil || got != netip.MustParseAddr(want) {
			t.Fatalf("Lease(%s) = %v, %v, want %s", owner, got, err, want)
		}
	}
	lease("a", "10.0.0.1")
	lease("a", "10.0.0.1") // the same owner keeps its address
	lease("b", "10.0.0.2")
	p.Release("a")
	lease("c", "10.0.0.3") // a's is not used again at once
	lease("d", "10.0.0.4")
	lease("e", "10.0.0.5")
	lease("f", "10.0.0.6")
	lease("g", "10.0.0.1") // only when the others have been
	if got, err := p.Lease("h"); err == nil {
		t.Fatalf("Lease in a full pool = %v, want an error", got)
	}
	p.Release("nobody")
	p.Release("d")
	lease("h", "10.0.0.4")
}

func TestClaim(t *testing.T) {
	t.Parallel()
	p := New(netip.MustParsePrefix("10.0.0.0/29"))
	for _, c := range []struct {
		name, owner, address string
		ok                   bool
	}{
		{"free", "a", "10.0.0.4", true},
		{"again", "a", "10.0.0.4", true},
		{"somebody else's", "b", "10.0.0.4", false},
		{"a second one", "a", "10.0.0.5", false},
		{"outside", "b", "10.0.1.1", false},
		{"first", "b", "10.0.0.0", false},
		{"broadcast", "b", "10.0.0.7", false},
	} {
		if err := p.Claim(c.owner, netip.MustParseAddr(c.address)); (err == nil) != c.ok {
			t.Errorf("%s: Claim(%s, %s) = %v, want ok %v", c.name, c.owner, c.address, err, c.ok)
		}
	}
	if got, _ := p.Lease("b"); got != netip.MustParseAddr("10.0.0.5") {
		t.Errorf("Lease after a claim = %v, want the one behind it", got)
	}
}
