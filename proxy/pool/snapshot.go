package pool

import (
	"cmp"
	"slices"
)

// Snapshot is the state of a pool at one moment, and what it has counted of all
// its revisions together.
type Snapshot struct {
	Tally
	CutAtDrain uint64 // claims that a drain's deadline found in flight, however they ended then
	Waiting    int
	Backends   []BackendSnapshot
}

// BackendSnapshot is one back end of a Snapshot, those that leave included.
type BackendSnapshot struct {
	Member
	State    string // serving, ejected, leaving
	InFlight int
}

// Snapshot reads the counters and the state of every back end.
func (p *Pool) Snapshot() Snapshot {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Snapshot{CutAtDrain: p.cutAtDrain.Load(), Waiting: p.waiting.Len()}
	for _, r := range p.revisions {
		s.Tally = s.Plus(r.read())
	}
	for _, b := range p.members {
		state := "serving"
		if b.ejected {
			state = "ejected"
		}
		s.Backends = append(s.Backends, b.snapshot(state))
	}
	for b := range p.leaving {
		s.Backends = append(s.Backends, b.snapshot("leaving"))
	}
	slices.SortFunc(s.Backends, func(a, b BackendSnapshot) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.State, b.State))
	})
	return s
}

func (b *Backend) snapshot(state string) BackendSnapshot {
	return BackendSnapshot{Member{ID: b.id, Address: b.address}, state, b.inFlight}
}
