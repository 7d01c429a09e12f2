package pool

import (
	"net/netip"
	"time"
)

// maxStays bounds how many clients a pool remembers.
const maxStays = 10_000

// stay is the back end that a client had last.
type stay struct {
	backend *Backend
	until   time.Time
}

// Stick has a client come back, within the time after its last claim, to the
// back end that it had, for as long as that can be had. 0: it does not.
func (p *Pool) Stick(within time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sticks = within
	if within == 0 {
		p.stays = nil
	}
}

// choose picks a back end for a client; mu is held.
func (p *Pool) choose(client netip.Addr, avoid *Backend) *Backend {
	if p.sticks == 0 || !client.IsValid() {
		return p.pick(avoid)
	}
	now := time.Now()
	s, known := p.stays[client]
	if !known || s.backend == avoid || s.backend.left || s.backend.ejected || now.After(s.until) {
		if s.backend = p.pick(avoid); s.backend == nil {
			return nil
		}
	}
	s.until = now.Add(p.sticks)
	if p.stays == nil {
		p.stays = map[netip.Addr]stay{}
	}
	if !known && len(p.stays) >= maxStays {
		p.forgetStays(now)
	}
	p.stays[client] = s
	return s.backend
}

// forgetStays makes room: of those that are over, else of any.
func (p *Pool) forgetStays(now time.Time) {
	for client, s := range p.stays {
		if now.After(s.until) || s.backend.left {
			delete(p.stays, client)
		}
	}
	for client := range p.stays {
		if len(p.stays) < maxStays {
			return
		}
		delete(p.stays, client)
	}
}
