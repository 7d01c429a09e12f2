package pool

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"
)

// Cause says whose doing it was that a request got no good answer.
type Cause int

const (
	Unavailable Cause = iota // there was no back end
	Unreached                // no back end took a connection
	Broken                   // the back end ended the connection early
	Cut                      // the drain's deadline came first
	ClientGone               // the client did not wait; no failure
	causes
)

func (c Cause) String() string {
	return [causes]string{"unavailable", "unreached", "broken", "cut", "client gone"}[c]
}

type counters struct {
	requests, retried, cut atomic.Uint64
	failures               [causes]atomic.Uint64
	heldCount              atomic.Uint64
	longestHold            atomic.Int64
}

func (c *counters) held(d time.Duration) {
	c.heldCount.Add(1)
	for {
		longest := c.longestHold.Load()
		if int64(d) <= longest || c.longestHold.CompareAndSwap(longest, int64(d)) {
			return
		}
	}
}

// Failed counts a request, or a connection, that ended badly.
func (p *Pool) Failed(why Cause) { p.counters.failures[why].Add(1) }

// Snapshot is the state of a pool at one moment.
type Snapshot struct {
	Requests    uint64 // TCP: connections
	Retried     uint64
	Failures    map[string]uint64 // by cause; only what happened
	ClientGone  uint64
	Held        uint64
	LongestHold time.Duration
	CutAtDrain  uint64
	Waiting     int
	Backends    []BackendSnapshot
}

// BackendSnapshot is one back end of a Snapshot, those that leave included.
type BackendSnapshot struct {
	Member
	State    string // serving, ejected, leaving
	InFlight int
}

// Snapshot reads the counters and the state of every back end.
func (p *Pool) Snapshot() Snapshot {
	s := Snapshot{
		Requests:    p.counters.requests.Load(),
		Retried:     p.counters.retried.Load(),
		ClientGone:  p.counters.failures[ClientGone].Load(),
		Held:        p.counters.heldCount.Load(),
		LongestHold: time.Duration(p.counters.longestHold.Load()),
		CutAtDrain:  p.counters.cut.Load(),
		Failures:    map[string]uint64{},
	}
	for cause := range ClientGone {
		if n := p.counters.failures[cause].Load(); n > 0 {
			s.Failures[cause.String()] = n
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s.Waiting = p.waiting.Len()
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
	return BackendSnapshot{Member{b.id, b.address}, state, b.inFlight}
}
