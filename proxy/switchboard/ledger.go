package switchboard

import (
	"maps"
	"slices"
	"sync"

	"skiff/proxy/pool"
)

// Counts are what was counted at each port of each Service.
type Counts map[string]map[string]pool.Counts

// Counts reads what the pools of all Services have counted.
func (b *Board) Counts() Counts {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make(Counts, len(b.services))
	for name, s := range b.services {
		ports := make(map[string]pool.Counts, len(s.ports))
		for port, p := range s.ports {
			ports[port] = p.pool.Counts()
		}
		all[name] = ports
	}
	return all
}

// Ledger adds up what several fronts count, each since it began. What one has
// counted stays when it begins anew, so that no sum falls while its Service is
// there.
type Ledger struct {
	mu     sync.Mutex
	fronts map[string]map[place]*account
}

type place struct{ service, port string }

// account is what one front has said of one place.
type account struct {
	now    pool.Counts
	before pool.Counts // by pools that are gone
	gone   bool        // the front has no such place any more
}

// Take notes what a front has counted since it began.
func (l *Ledger) Take(front string, counts Counts) {
	l.mu.Lock()
	defer l.mu.Unlock()
	accounts := l.accounts(front)
	for at, a := range accounts {
		if _, there := counts[at.service][at.port]; !there {
			a.take(pool.Counts{})
			a.gone = true
		}
	}
	for service, ports := range counts {
		for port, now := range ports {
			at := place{service, port}
			if accounts[at] == nil {
				accounts[at] = &account{}
			}
			accounts[at].take(now)
			accounts[at].gone = false
		}
	}
	l.forget()
}

// Settle gives what a front that is gone for good has counted to another one.
func (l *Ledger) Settle(front, with string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	accounts := l.accounts(with)
	for at, a := range l.fronts[front] {
		if accounts[at] == nil {
			accounts[at] = &account{gone: true}
		}
		accounts[at].before = plus(accounts[at].before, atRest(plus(a.before, a.now)))
	}
	delete(l.fronts, front)
	l.forget()
}

// accounts needs mu.
func (l *Ledger) accounts(front string) map[place]*account {
	if l.fronts == nil {
		l.fronts = map[string]map[place]*account{}
	}
	if l.fronts[front] == nil {
		l.fronts[front] = map[place]*account{}
	}
	return l.fronts[front]
}

func (a *account) take(now pool.Counts) {
	if a.now.Begun != now.Begun {
		a.before = atRest(plus(a.before, a.now))
	}
	a.now = now
	maps.DeleteFunc(a.before.Backends, func(id string, _ pool.BackendCount) bool {
		_, there := now.Backends[id]
		return !there
	})
}

// atRest is what stays of counts that are nobody else's when nothing goes on any
// more.
func atRest(c pool.Counts) pool.Counts {
	c.Waiting = 0
	for id, n := range c.Backends {
		n.InFlight, n.Streams = 0, 0
		c.Backends[id] = n
	}
	return c
}

// forget drops Services that no front has any more; mu is held.
func (l *Ledger) forget() {
	alive := map[string]bool{}
	for _, accounts := range l.fronts {
		for at, a := range accounts {
			alive[at.service] = alive[at.service] || !a.gone
		}
	}
	for _, accounts := range l.fronts {
		for at := range accounts {
			if !alive[at.service] {
				delete(accounts, at)
			}
		}
	}
}

// Sum is what the given fronts, or all, have counted together.
func (l *Ledger) Sum(of ...string) Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	sum := Counts{}
	for front, accounts := range l.fronts {
		if len(of) > 0 && !slices.Contains(of, front) {
			continue
		}
		for at, a := range accounts {
			if sum[at.service] == nil {
				sum[at.service] = map[string]pool.Counts{}
			}
			sum[at.service][at.port] = plus(plus(sum[at.service][at.port], a.before), a.now)
		}
	}
	return sum
}

func plus(a, b pool.Counts) pool.Counts {
	sum := pool.Counts{
		Revisions: map[string]pool.Tally{}, Backends: map[string]pool.BackendCount{},
		Waiting: a.Waiting + b.Waiting,
	}
	for _, c := range []pool.Counts{a, b} {
		for name, t := range c.Revisions {
			sum.Revisions[name] = sum.Revisions[name].Plus(t)
		}
		for id, n := range c.Backends {
			s := sum.Backends[id]
			sum.Backends[id] = pool.BackendCount{
				Requests: s.Requests + n.Requests, Failed: s.Failed + n.Failed,
				InFlight: s.InFlight + n.InFlight, Streams: s.Streams + n.Streams,
			}
		}
	}
	return sum
}
