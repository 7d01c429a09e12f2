package switchboard

import (
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
	if l.fronts == nil {
		l.fronts = map[string]map[place]*account{}
	}
	if l.fronts[front] == nil {
		l.fronts[front] = map[place]*account{}
	}
	accounts := l.fronts[front]
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

func (a *account) take(now pool.Counts) {
	if a.now.Begun != now.Begun {
		a.before = plus(a.before, a.now)
		a.before.Waiting = 0
	}
	a.now = now
	for id, n := range a.before.Backends {
		if _, there := now.Backends[id]; !there {
			delete(a.before.Backends, id)
			continue
		}
		n.InFlight, n.Streams = 0, 0
		a.before.Backends[id] = n
	}
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

// Sum is what all fronts together have counted.
func (l *Ledger) Sum() Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	sum := Counts{}
	for _, accounts := range l.fronts {
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
