// Package address hands out the Pods' addresses. It keeps them in memory only:
// after a restart they are claimed again from what the engine's containers
// say.
package address

import (
	"fmt"
	"net/netip"
	"sync"
)

// Pool is a range of addresses and who holds them.
type Pool struct {
	prefix netip.Prefix

	mu     sync.Mutex // guards the rest
	held   map[string]netip.Addr
	owner  map[netip.Addr]string
	recent netip.Addr // handed out last; the search goes on behind it
}

// New makes a pool of a range's addresses. The first and the last are left
// out: the last of a subnet is for broadcasts.
func New(prefix netip.Prefix) *Pool {
	prefix = prefix.Masked()
	return &Pool{
		prefix: prefix,
		held:   map[string]netip.Addr{},
		owner:  map[netip.Addr]string{},
		recent: prefix.Addr(),
	}
}

// Lease answers the owner's address, a new one if it has none. Addresses go
// round the whole range before one is used again, because clients may still
// hold connections to the Pod that had it.
func (p *Pool) Lease(owner string) (netip.Addr, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a, ok := p.held[owner]; ok {
		return a, nil
	}
	for a := p.after(p.recent); ; a = p.after(a) {
		if p.owner[a] == "" && p.usable(a) {
			p.take(owner, a)
			p.recent = a
			return a, nil
		}
		if a == p.recent {
			return netip.Addr{}, fmt.Errorf("lease a Pod address: all of %s are in use", p.prefix)
		}
	}
}

// Claim takes the address that the owner's containers already have.
func (p *Pool) Claim(owner string, a netip.Addr) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held[owner] == a {
		return nil
	}
	switch {
	case !p.usable(a):
		return fmt.Errorf("claim Pod address %s: it is not in %s", a, p.prefix)
	case p.owner[a] != "":
		return fmt.Errorf("claim Pod address %s: Pod %s has it", a, p.owner[a])
	case p.held[owner].IsValid():
		return fmt.Errorf("claim Pod address %s: the Pod has %s", a, p.held[owner])
	}
	p.take(owner, a)
	if p.recent.Less(a) {
		p.recent = a
	}
	return nil
}

// Release gives the owner's address back. An owner without one is fine.
func (p *Pool) Release(owner string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.owner, p.held[owner])
	delete(p.held, owner)
}

// take enters a lease. The lock is held.
func (p *Pool) take(owner string, a netip.Addr) {
	p.held[owner] = a
	p.owner[a] = owner
}

// after is the next address, round the range.
func (p *Pool) after(a netip.Addr) netip.Addr {
	if next := a.Next(); p.prefix.Contains(next) {
		return next
	}
	return p.prefix.Addr()
}

func (p *Pool) usable(a netip.Addr) bool {
	return p.prefix.Contains(a) && a != p.prefix.Addr() && p.prefix.Contains(a.Next())
}
