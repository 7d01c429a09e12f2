package pool

import (
	"net/netip"
	"time"
)

// Resting is a connection whose protocol skiff does not know, and which can
// be closed without harm only when nothing is under way on it.
type Resting interface {
	// Client is where the client is, whatever its port.
	Client() netip.Addr
	Rest() Rest
	// Hold keeps back what the client sends, until Resume. Answers pass.
	Hold()
	Resume()
	// Unread says whether the client has sent something that nobody has got to
	// read yet, as on a busy machine.
	Unread() bool
	Close()
}

// Rest is what a connection is at.
type Rest struct {
	Idle     time.Duration // no byte has come for that long
	Waiting  bool          // the last ones came from the client: an answer is probably being worked on
	Watching bool          // the client has asked for news of the server, not for a result: nothing is lost with it
}

// How a drain lets TCP connections go. A database driver keeps a connection
// that watches the server and a pool of those that carry queries. When the
// watching one is closed, the driver gives up the whole pool and comes back
// through new connections, which go to the new back end or wait for it: a
// pause. When one that carries queries is closed, the driver finds out by the
// failure of the next query: an error. So the connection that watches goes
// first, or where none is known to, the one that has rested longest, and after
// it there is time for the client's driver to react, on a busy machine as well.
// What one client does is no other's concern.
//
// A query that starts at the moment when the driver gives up its pool fails as
// well. So meanwhile what clients send is held back: whoever has a query is
// then waiting for its answer, which comes after the closing.
const (
	holdLead   = 50 * time.Millisecond  // before the first closing
	holdLimit  = 400 * time.Millisecond // at most
	holdGap    = 100 * time.Millisecond // at least, between two
	firstPause = 100 * time.Millisecond // after a client's first closing
	watchPause = time.Second            // after that of one that watched, until the driver has reacted
	laterPause = 10 * time.Millisecond  // after each other one

	lookInterval = 10 * time.Millisecond
	seldom       = 50 * time.Millisecond // where nothing is there to close

	// longRest: drivers check a connection that has rested that long before
	// they use it again. shortRest: there is no query on its way.
	longRest  = time.Second
	shortRest = 20 * time.Millisecond
)

// parting closes the connections of a leaving back end, those of a client one after
// the other.
type parting struct {
	total    time.Duration // all the time there is
	closed   map[*Claim]bool
	clients  map[netip.Addr]reaction // of those that have lost a connection
	held     []Resting
	heldAt   time.Duration
	nextHold time.Duration
}

// leaver is a connection that is still to be closed.
type leaver struct {
	Resting
	claim *Claim
	rest  Rest
}

// step closes what each client can do without now and returns when to look again.
func (p *parting) step(claims []*Claim, elapsed time.Duration) time.Duration {
	open := p.open(claims)
	next := p.next(open, elapsed)
	switch {
	case len(p.held) == 0 && (len(next) == 0 || elapsed < p.nextHold):
		if len(open) == 0 {
			return seldom
		}
		return lookInterval
	case len(p.held) == 0:
		p.hold(open, elapsed)
		return min(holdLead, p.total/10)
	case elapsed-p.heldAt > holdLimit, len(next) == 0 && !p.awaits(open, elapsed):
		p.resume()
		p.nextHold = elapsed + holdGap
		return lookInterval
	}
	most := 1
	for client, leaving := range next {
		most = max(most, len(open[client]))
		p.close(client, leaving, len(open[client]), elapsed)
	}
	// Half of the time that is left is for all the others, however many.
	return min(laterPause, max(0, p.total-elapsed)/time.Duration(2*most))
}

// open are the connections that are still to be closed, by client.
func (p *parting) open(claims []*Claim) map[netip.Addr][]leaver {
	open := map[netip.Addr][]leaver{}
	for _, c := range claims {
		if r := c.restingAs(); r != nil && !p.closed[c] {
			client := r.Client()
			open[client] = append(open[client], leaver{r, c, r.Rest()})
		}
	}
	return open
}

// next are the connections to close now, by client.
func (p *parting) next(open map[netip.Addr][]leaver, elapsed time.Duration) map[netip.Addr][]leaver {
	next := map[netip.Addr][]leaver{}
	for client, all := range open {
		if p.clients[client].due(len(all), elapsed, p.total) {
			continue
		}
		if chosen := unspoken(all, elapsed, p.total); len(chosen) > 0 {
			next[client] = chosen
		}
	}
	return next
}

// unspoken is toPart without those whose client has just sent something, which
// count as waiting from here on.
func unspoken(all []leaver, elapsed, total time.Duration) (chosen []leaver) {
	for {
		part := toPart(all, elapsed, total)
		for _, i := range part {
			if all[i].Unread() {
				all[i].rest.Waiting, all[i].rest.Watching = true, false
			} else {
				chosen = append(chosen, all[i])
			}
		}
		if len(chosen) > 0 || len(part) == 0 {
			return chosen
		}
	}
}

// awaits says whether a client's reaction is due that will lead to more closings.
func (p *parting) awaits(open map[netip.Addr][]leaver, elapsed time.Duration) bool {
	for client, all := range open {
		if p.clients[client].due(len(all), elapsed, p.total) {
			return true
		}
	}
	return false
}

func (p *parting) close(client netip.Addr, leaving []leaver, open int, elapsed time.Duration) {
	if p.closed == nil {
		p.closed, p.clients = map[*Claim]bool{}, map[netip.Addr]reaction{}
	}
	watched := leaving[0].rest.Watching
	if _, before := p.clients[client]; !before || watched {
		p.clients[client] = reaction{since: elapsed, left: open - len(leaving), watched: watched}
	}
	for _, l := range leaving {
		p.closed[l.claim] = true
		l.Close()
	}
}

// reaction is what is expected of a client that has lost a connection: when it
// was, how many it had left, and whether the one that it lost was one that watched.
type reaction struct {
	since   time.Duration
	left    int
	watched bool
}

// due says whether the reaction is to be waited for. A driver that gives up its
// pool closes what is at rest in it, so that fewer are open.
func (r reaction) due(open int, elapsed, total time.Duration) bool {
	pause := firstPause
	if r.watched && open >= r.left {
		pause = watchPause
	}
	return r != reaction{} && elapsed-r.since < min(pause, total/4)
}

func (p *parting) hold(open map[netip.Addr][]leaver, elapsed time.Duration) {
	p.heldAt = elapsed
	for _, all := range open {
		for _, l := range all {
			l.Hold()
			p.held = append(p.held, l.Resting)
		}
	}
}

func (p *parting) resume() {
	for _, r := range p.held {
		r.Resume()
	}
	p.held = nil
}

// toPart picks which of a client's connections to close now, if any: those that
// watch, or else the one that has rested longest. One that waits for an answer is
// never closed before the deadline. It may carry a long query, or watch in a way
// that is not known; so for half of the time, those that rested less than it are
// left alone as well.
func toPart(all []leaver, elapsed, total time.Duration) []int {
	var watching []int
	longest := -1
	for i, l := range all {
		switch {
		case l.rest.Watching:
			watching = append(watching, i)
		case l.rest.Waiting && elapsed >= total/2:
		case longest < 0 || l.rest.Idle > all[longest].rest.Idle:
			longest = i
		}
	}
	switch {
	case len(watching) > 0:
		return watching
	case longest < 0 || all[longest].rest.Waiting || all[longest].rest.Idle < restNeeded(elapsed, total):
		return nil
	}
	return []int{longest}
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
