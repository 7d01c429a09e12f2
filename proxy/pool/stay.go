package pool

import (
	"net/netip"
	"time"
)

// maxStays bounds how many clients a pool remembers.
const maxStays = 10_000

// stay is a Stay as the pool keeps it.
type stay struct {
	backend *Backend
	until   time.Time
}

// Stay is the back end that a client had last, for another process to know.
type Stay struct {
	Client  netip.Addr
	Backend string        // its ID
	For     time.Duration // how long the client comes back to it
}

// Stays lists which client comes back to which back end.
func (p *Pool) Stays() []Stay {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []Stay
	now := time.Now()
	for client, s := range p.stays {
		if left := s.until.Sub(now); left > 0 && !s.backend.left {
			all = append(all, Stay{client, s.backend.id, left})
		}
	}
	return all
}

// Recall has clients come back to the back ends that they had elsewhere.
func (p *Pool) Recall(stays []Stay) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for _, s := range stays {
		if b := p.members[s.Backend]; b != nil && p.sticks > 0 {
			p.remember(s.Client, stay{b, now.Add(min(s.For, p.sticks))}, now)
		}
	}
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
	p.remember(client, s, now)
	return s.backend
}

// remember needs mu, too.
func (p *Pool) remember(client netip.Addr, s stay, now time.Time) {
	if p.stays == nil {
		p.stays = map[netip.Addr]stay{}
	}
	if _, known := p.stays[client]; !known && len(p.stays) >= maxStays {
		p.forgetStays(now)
	}
	p.stays[client] = s
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
