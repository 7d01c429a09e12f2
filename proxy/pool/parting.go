package pool

import "time"

// Resting is a connection whose protocol skiff does not know, and which can
// be closed without harm only when nothing is under way on it.
type Resting interface {
	// Rest says for how long no byte has passed, and whether the last ones
	// went to the back end, so that an answer is probably being worked on.
	Rest() (idle time.Duration, waiting bool)
	Close()
}

// How a drain lets TCP connections go. A database driver keeps a connection
// that watches the server and a pool of those that carry queries. When the
// watching one is closed, the driver gives up the whole pool at the next pause
// and comes back through new connections, which go to the new back end or wait
// for it: a pause. When one that carries queries is closed, the driver finds
// out by the failure of the next query: an error. So the connection that has
// rested longest goes first, and after it there is time for a driver to react.
const (
	firstPause   = 100 * time.Millisecond
	laterPause   = 20 * time.Millisecond
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
	total  time.Duration // all the time there is
	closed map[*Claim]bool
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
	switch {
	case len(rests) == 0:
		return seldom
	case i < 0:
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

// nextToPart picks the connection to close now, or -1 for none. Nothing is
// closed before one that has rested longer. One that waits for an answer may
// be a long query, or a watching connection that waits for news: it is left
// alone for half of the time.
func nextToPart(rests []rest, elapsed, total time.Duration) int {
	longest := -1
	for i, r := range rests {
		if longest < 0 || r.idle > rests[longest].idle {
			longest = i
		}
	}
	if longest < 0 {
		return -1
	}
	r := rests[longest]
	if r.idle < restNeeded(elapsed, total) || r.waiting && elapsed < total/2 {
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
