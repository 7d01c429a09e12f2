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
	// Untaken says whether the client has yet to take something of what it was sent.
	Untaken() bool
	Close()
}

// Rest is what a connection is at.
type Rest struct {
	Idle     time.Duration // no byte has come for that long
	Asked    bool          // the last ones went from the client to the back end: an answer is probably being worked on
	Waiting  bool          // the same, or what the client has sent is held back
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
//
// A query that starts at the moment when the driver gives up its pool fails as
// well. So meanwhile what clients send is held back: whoever has a query is
// then waiting for its answer, which comes after the closing.
//
// A connection in constant use is never at rest by itself. Shortly before the
// deadline what all clients send is held back for good: the answers to what the
// back end has still got come, and what follows goes to nobody, which is better
// than to be carried out and not answered.
const (
	holdLead   = 50 * time.Millisecond  // before the first closing
	holdLimit  = 400 * time.Millisecond // at most
	holdGap    = 100 * time.Millisecond // at least, between two
	firstPause = 100 * time.Millisecond // after a client's first closing
	watchPause = time.Second            // after that of one that watched, until the driver has reacted
	laterPause = 10 * time.Millisecond  // after each other one
	lastHold   = 500 * time.Millisecond // before the deadline

	lookInterval = 10 * time.Millisecond
	seldom       = 50 * time.Millisecond // where nothing is there to close

	// longRest: drivers check a connection that has rested that long before
	// they use it again. shortRest: there is no query on its way.
	longRest  = time.Second
	shortRest = 20 * time.Millisecond
)

// parting lets the connections of a leaving back end go, those of each client for
// themselves.
type parting struct {
	total   time.Duration // all the time there is
	clients map[netip.Addr]*departure
}

func newParting(total time.Duration) *parting {
	return &parting{total: total, clients: map[netip.Addr]*departure{}}
}

// departure is how far it has got with one client.
type departure struct {
	closed   map[*Claim]bool
	lost     *loss
	held     map[*Claim]Resting
	heldAt   time.Duration
	nextHold time.Duration
	nextLook time.Duration
}

// loss is one that the client's driver is to react to: when it was, how many
// connections were left, and whether the one that was closed watched.
type loss struct {
	at      time.Duration
	left    int
	watched bool
}

// leaver is a connection that is still to be closed.
type leaver struct {
	Resting
	claim *Claim
	rest  Rest
}

// step closes what clients can do without now and returns when to look again.
func (p *parting) step(claims []*Claim, elapsed time.Duration) time.Duration {
	wait := seldom
	last := elapsed >= p.total-min(lastHold, p.total/5)
	for client, all := range p.open(claims) {
		d := p.clients[client]
		if last {
			d.finish(all)
			wait = lookInterval
			continue
		}
		if d.nextLook <= elapsed {
			d.nextLook = elapsed + d.step(all, elapsed, p.total)
		}
		wait = min(wait, d.nextLook-elapsed)
	}
	return wait
}

// open are the connections that are still to be closed, by client.
func (p *parting) open(claims []*Claim) map[netip.Addr][]*leaver {
	open := map[netip.Addr][]*leaver{}
	for _, c := range claims {
		r := c.restingAs()
		if r == nil {
			continue
		}
		client := r.Client()
		if p.clients[client] == nil {
			p.clients[client] = &departure{closed: map[*Claim]bool{}, held: map[*Claim]Resting{}}
		}
		if !p.clients[client].closed[c] {
			open[client] = append(open[client], &leaver{r, c, r.Rest()})
		}
	}
	return open
}

func (p *parting) resume() {
	for _, d := range p.clients {
		d.resume()
	}
}

// step closes what the client can do without now, which has these connections
// open, and returns when to look again.
func (d *departure) step(all []*leaver, elapsed, total time.Duration) time.Duration {
	next := parted(all, elapsed, total)
	awaited := d.lost.awaited(len(all), len(next) > 0, elapsed, total)
	switch {
	case len(d.held) == 0 && (len(next) == 0 || awaited || elapsed < d.nextHold):
		return lookInterval
	case len(d.held) == 0:
		d.hold(all, elapsed)
		return min(holdLead, total/10)
	case elapsed-d.heldAt > holdLimit, len(next) == 0 && !awaited:
		d.resume()
		d.nextHold = elapsed + holdGap
		return lookInterval
	case awaited:
		return lookInterval
	}
	watched := next[0].rest.Watching
	if d.lost == nil || watched {
		d.lost = &loss{at: elapsed, left: len(all) - len(next), watched: watched}
	}
	for _, l := range next {
		d.closed[l.claim] = true
		l.Close()
	}
	// Half of the time that is left is for all the others, however many.
	return min(laterPause, max(0, total-elapsed)/time.Duration(2*len(all)))
}

func (d *departure) hold(all []*leaver, elapsed time.Duration) {
	d.heldAt = elapsed
	d.holdAll(all)
}

func (d *departure) holdAll(all []*leaver) {
	for _, l := range all {
		if d.held[l.claim] == nil {
			l.Hold()
			d.held[l.claim] = l.Resting
		}
	}
}

// finish closes what has got its last answer, since the deadline is near. Whose
// client has sent more, which nobody will get, is cut.
func (d *departure) finish(all []*leaver) {
	d.holdAll(all)
	for _, l := range all {
		switch {
		case l.rest.Asked || l.rest.Idle < shortRest || l.Untaken():
			continue
		case l.rest.Waiting || l.Unread():
			l.claim.end(ErrStreamCut)
		default:
			l.Close()
		}
		d.closed[l.claim] = true
	}
}

func (d *departure) resume() {
	for _, r := range d.held {
		r.Resume()
	}
	clear(d.held)
}

// awaited says whether the client's reaction is to be waited for. A driver that
// gives up its pool closes what is at rest in it. Where nothing of that is left to
// close, there is nothing to wait for either: those in use wait for their answers,
// which are held back.
func (l *loss) awaited(open int, more bool, elapsed, total time.Duration) bool {
	if l == nil {
		return false
	}
	pause := firstPause
	if l.watched && more && open > l.left/2 {
		pause = watchPause
	}
	return elapsed-l.at < min(pause, total/4)
}

// parted is what toPart picks, without those whose clients have sent something
// since they were looked at, or have yet to take something: those count as waiting
// from here on.
func parted(all []*leaver, elapsed, total time.Duration) (next []*leaver) {
	for {
		picked := toPart(all, elapsed, total)
		for _, l := range picked {
			if l.Unread() || l.Untaken() || l.Rest().Waiting {
				l.rest.Waiting, l.rest.Watching = true, false
			} else {
				next = append(next, l)
			}
		}
		if len(next) > 0 || len(picked) == 0 {
			return next
		}
	}
}

// toPart picks which of a client's connections to close now, if any: those that
// watch, or else the one that has rested longest. One that waits for an answer is
// never closed before the deadline. It may carry a long query, or watch in a way
// that is not known; so for half of the time, those that rested less than it are
// left alone as well.
func toPart(all []*leaver, elapsed, total time.Duration) []*leaver {
	var watching []*leaver
	var longest *leaver
	for _, l := range all {
		switch {
		case l.rest.Watching:
			watching = append(watching, l)
		case l.rest.Waiting && elapsed >= total/2:
		case longest == nil || l.rest.Idle > longest.rest.Idle:
			longest = l
		}
	}
	switch {
	case len(watching) > 0:
		return watching
	case longest == nil || longest.rest.Waiting || longest.rest.Idle < restNeeded(elapsed, total):
		return nil
	}
	return []*leaver{longest}
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
