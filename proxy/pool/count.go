package pool

import (
	"maps"
	"sync/atomic"
	"time"
)

// count is a Tally that is being made. Whoever counts has it at hand: there is
// nothing to look up, to lock or to allocate.
type count struct {
	answered     [classes]atomic.Uint64
	failures     [causes]atomic.Uint64
	retried      atomic.Uint64
	drained, cut [streams]atomic.Uint64
	took, held   recorder
}

func (c *count) read() Tally {
	t := Tally{Retried: c.retried.Load(), Took: c.took.read(), Held: c.held.read()}
	for i := range c.answered {
		t.Answered[i] = c.answered[i].Load()
	}
	for i := range c.failures {
		t.Failures[i] = c.failures[i].Load()
	}
	for i := range c.drained {
		t.Drained[i], t.Cut[i] = c.drained[i].Load(), c.cut[i].Load()
	}
	return t
}

// Earlier is the name under which the counts of revisions are put together that
// are gone for long.
const Earlier = "*"

// maxRevisions bounds of how many revisions without a back end the counts are
// kept apart.
const maxRevisions = 16

// revision is what the back ends of one revision have counted.
type revision struct {
	count
	backends int    // that are not empty yet
	born     uint64 // which of the pool's it is
}

// Answered counts a request whose answer has come to its end, or a stream that
// has begun. status is HTTP's, 0 for what is no HTTP. What has been counted
// already is not counted again.
func (c *Claim) Answered(status int) {
	if c.counted {
		return
	}
	c.counted = true
	of := c.backend.revision
	of.answered[min(max(0, status/100), classes-1)].Add(1)
	c.backend.requests.Add(1)
	if !c.stream {
		of.took.record(time.Since(c.since))
	}
}

// Failed counts a request, or a connection, that ended badly. last is what it
// had claimed last, nil if it never had a back end.
func (p *Pool) Failed(last *Claim, why Cause) {
	of := p.nobody
	if last != nil {
		if last.counted {
			return
		}
		last.counted = true
		of = last.backend.revision
		last.backend.requests.Add(1)
		last.backend.failed.Add(1)
	}
	of.failures[why].Add(1)
}

// Clean says that a stream may be ended now without harm, or has been.
func (c *Claim) Clean() { c.ending.Store(endsCleanly) }

// Broke says that the back end has ended a stream in the midst of something,
// unless it was at its end already.
func (c *Claim) Broke() { c.ending.CompareAndSwap(endsAnyhow, endsBroken) }

const (
	endsAnyhow int32 = iota
	endsCleanly
	endsBroken
)

// countStream counts a stream that ends because its back end leaves, or fails.
// mu is held.
func (c *Claim) countStream() {
	of, ending := c.backend.revision, c.ending.Load()
	switch {
	case ending == endsBroken, c.cause != nil && ending != endsCleanly:
		of.cut[c.kind].Add(1)
	case c.backend.left:
		of.drained[c.kind].Add(1)
	}
}

// Counts are what a pool has counted since it was made, and how it is now.
type Counts struct {
	Begun     int64            // tells the counts of this pool from another's
	Revisions map[string]Tally // "" is for what never had a back end
	Backends  map[string]BackendCount
	Waiting   int
}

// BackendCount is what was counted for one back end.
type BackendCount struct {
	Requests, Failed uint64
	InFlight         int
	Streams          int // of those in flight
}

// Counts reads the counters.
func (p *Pool) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := Counts{Begun: p.begun, Revisions: map[string]Tally{}, Backends: map[string]BackendCount{}, Waiting: p.waiting.Len()}
	for name, r := range p.revisions {
		c.Revisions[name] = r.read()
	}
	add := func(b *Backend) {
		n := c.Backends[b.id]
		n.Requests += b.requests.Load()
		n.Failed += b.failed.Load()
		n.InFlight += b.inFlight
		n.Streams += b.streams
		c.Backends[b.id] = n
	}
	for _, b := range p.members {
		add(b)
	}
	for b := range p.leaving {
		add(b)
	}
	return c
}

// Below: mu is held.

// enter gives a new back end the counters of its revision.
func (p *Pool) enter(name string) *revision {
	r := p.revisions[name]
	if r == nil {
		p.born++
		r = &revision{born: p.born}
		p.revisions[name] = r
		p.forgetRevisions()
	}
	r.backends++
	return r
}

// forgetRevisions puts the oldest revisions that have no back end any more
// together, so that the sum stays.
func (p *Pool) forgetRevisions() {
	for {
		oldest, empty := "", 0
		for name, r := range p.revisions {
			if name == "" || name == Earlier || r.backends > 0 {
				continue
			}
			if empty++; oldest == "" || r.born < p.revisions[oldest].born {
				oldest = name
			}
		}
		if empty <= maxRevisions+1 { // the new one has no back end yet
			return
		}
		if p.revisions[Earlier] == nil {
			p.revisions[Earlier] = &revision{}
		}
		p.revisions[Earlier].take(p.revisions[oldest].read())
		delete(p.revisions, oldest)
	}
}

// take adds what another has counted.
func (c *count) take(t Tally) {
	for i := range c.answered {
		c.answered[i].Add(t.Answered[i])
	}
	for i := range c.failures {
		c.failures[i].Add(t.Failures[i])
	}
	for i := range c.drained {
		c.drained[i].Add(t.Drained[i])
		c.cut[i].Add(t.Cut[i])
	}
	c.retried.Add(t.Retried)
	c.took.take(t.Took)
	c.held.take(t.Held)
}

func (r *recorder) take(h Histogram) {
	if len(h.Buckets) == 0 {
		return
	}
	r.buckets.CompareAndSwap(nil, new([bucketsOf]atomic.Uint64))
	buckets := r.buckets.Load()
	for bucket := range maps.Keys(h.Buckets) {
		buckets[bucket].Add(h.Buckets[bucket])
	}
	r.sum.Add(int64(h.Sum))
}
