package pool

import "time"

// Resting is a connection whose protocol skiff does not know, and which can
// be closed without harm only when nothing is under way on it.
type Resting interface {
	// Rest says for how long no byte has come, and whether the last ones came
	// from the client, so that an answer is probably being worked on.
	Rest() (idle time.Duration, waiting bool)
	// Hold keeps back what the client sends, until Resume. Answers pass.
	Hold()
	Resume()
	// Unread says whether the client has sent something that nobody has got to
	// read yet, as on a busy machine.
	Unread() bool
	Close()
}

// How a drain lets TCP connections go. A database driver keeps a connection
// that watches the server and a pool of those that carry queries. When the
// watching one is closed, the driver gives up the whole pool and comes back
// through new connections, which go to the new back end or wait for it: a
// pause. When one that carries queries is closed, the driver finds out by the
// failure of the next query: an error. So the connection that has rested
// longest goes first, and after it there is time for a driver to react.
//
// A query that starts at the moment when the driver gives up its pool fails as
// well. So meanwhile what clients send is held back: whoever has a query is
// then waiting for its answer, which comes after the closing.
const (
	holdLead   = 50 * time.Millisecond  // before the first closing
	holdLimit  = 400 * time.Millisecond // at most
	holdGap    = 100 * time.Millisecond // at least, between two
	firstPause = 100 * time.Millisecond // after the very first closing
	laterPause = 10 * time.Millisecond  // after each other one

	lookInterval = 10 * time.Millisecond
	seldom       = 50 * time.Millisecond // where nothing is there to close

	// longRest: drivers check a connection that has rested that long before
	// they use it again. shortRest: there is no query on its way.
	longRest  = time.Second
	shortRest = 20 * time.Millisecond
)

type rest struct {
	idle    time.Duration
	waiting bool
}

// parting closes the connections of a leaving back end one after the other.
type parting struct {
	total    time.Duration // all the time there is
	closed   map[*Claim]bool
	held     []Resting
	heldAt   time.Duration
	nextHold time.Duration
}

// step closes at most one connection and returns when to look again.
func (p *parting) step(claims []*Claim, elapsed time.Duration) time.Duration {
	var resting []Resting
	var of []*Claim
	var rests []rest
	for _, c := range claims {
		if r := c.restingAs(); r != nil && !p.closed[c] {
			idle, waiting := r.Rest()
			resting, of, rests = append(resting, r), append(of, c), append(rests, rest{idle, waiting})
		}
	}
	i := nextToPart(rests, elapsed, p.total)
	for i >= 0 && resting[i].Unread() {
		rests[i].waiting = true
		i = nextToPart(rests, elapsed, p.total)
	}
	switch {
	case len(p.held) == 0 && (i < 0 || elapsed < p.nextHold):
		if len(rests) == 0 {
			return seldom
		}
		return lookInterval
	case len(p.held) == 0:
		p.hold(resting, elapsed)
		return min(holdLead, p.total/10)
	case i < 0 || elapsed-p.heldAt > holdLimit:
		p.resume()
		p.nextHold = elapsed + holdGap
		return lookInterval
	}
	if p.closed == nil {
		p.closed = map[*Claim]bool{}
	}
	p.closed[of[i]] = true
	resting[i].Close()
	if len(p.closed) == 1 {
		return min(firstPause, p.total/4)
	}
	// Half of the time that is left is for all the others, however many.
	return min(laterPause, max(0, p.total-elapsed)/time.Duration(2*len(rests)))
}

func (p *parting) hold(all []Resting, elapsed time.Duration) {
	p.held, p.heldAt = all, elapsed
	for _, r := range all {
		r.Hold()
	}
}

func (p *parting) resume() {
	for _, r := range p.held {
		r.Resume()
	}
	p.held = nil
}

// nextToPart picks the connection to close now, or -1 for none. One that waits
// for an answer is never closed before the deadline. It may carry a long query,
// or be the watching one; so for half of the time, those that rested less than
// it are left alone as well.
func nextToPart(rests []rest, elapsed, total time.Duration) int {
	longest := -1
	for i, r := range rests {
		if r.waiting && elapsed >= total/2 {
			continue
		}
		if longest < 0 || r.idle > rests[longest].idle {
			longest = i
		}
	}
	if longest < 0 || rests[longest].waiting || rests[longest].idle < restNeeded(elapsed, total) {
		return -1
	}
	return longest
}

// restNeeded is long at first and falls in the second half of the time, so
// that a connection in constant use is closed between two queries rather than
// cut within one.
func restNeeded(elapsed, total time.Duration) time.Duration {
	long := min(longRest, total/4)
	half, end := total/2, total*9/10
	switch {
	case elapsed <= half:
		return max(long, shortRest)
	case elapsed >= end:
		return shortRest
	}
	share := float64(end-elapsed) / float64(end-half)
	return max(time.Duration(float64(long)*share), shortRest)
}

func (c *Claim) restingAs() Resting {
	p := c.backend.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	return c.resting
}
