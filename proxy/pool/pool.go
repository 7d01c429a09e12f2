// Package pool keeps the back ends of one Service port: which of them may be
// picked, what each of them has in flight, and who waits while there is none.
//
// The rule the whole of skiff rests on: a claim is registered under the lock
// that Remove takes. So once Remove has returned, no claim yields that back
// end any more, and what is in flight is known to the last one.
package pool

import (
	"container/list"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	defaultHold       = 30 * time.Second
	defaultMaxWaiting = 10_000
)

// Options of a pool. Dial must be set; it is used to see whether a back end
// that refused a connection takes them again.
type Options struct {
	Dial       func(ctx context.Context, network, address string) (net.Conn, error)
	Hold       time.Duration // how long a claim waits for a back end, once those before it have gone; 0: 30 s
	MaxWaiting int           // how many claims may wait at a time; 0: 10,000
}

// Member names a back end: ID is its identity for life (a Pod's UID), Address
// is where it listens (ip:port), and Revision is what it is counted with.
type Member struct {
	ID       string
	Address  string
	Revision string
}

// Expectation says whether a back end is on its way, and which, or why none is.
type Expectation struct {
	Coming  bool
	Reason  string
	Leaving time.Time // by when those will have gone that must before it can begin; zero: none must
}

// Pool is safe for concurrent use.
type Pool struct {
	options    Options
	begun      int64
	nobody     *revision // counts what never has a back end
	cutAtDrain atomic.Uint64
	redials    sync.WaitGroup

	mu       sync.Mutex // guards everything below and the state of every Backend and Claim
	members  map[string]*Backend
	usable   []*Backend            // members that are not ejected
	leaving  map[*Backend]struct{} // taken out, and not yet empty
	left     []*Backend            // taken out by the change under way
	drained  recent
	waiting  list.List // of *waiter, longest first
	expected Expectation
	vacated  time.Time     // when the last of those had gone that it told of
	sticks   time.Duration // how long a client stays with its back end; 0: not at all
	stays    map[netip.Addr]stay
	closed   bool

	revisions map[string]*revision
	born      uint64 // how many there have been
}

// New makes an empty pool that expects nothing.
func New(o Options) *Pool {
	if o.Hold == 0 {
		o.Hold = defaultHold
	}
	if o.MaxWaiting == 0 {
		o.MaxWaiting = defaultMaxWaiting
	}
	nobody := &revision{}
	return &Pool{
		options:   o,
		begun:     time.Now().UnixNano(),
		nobody:    nobody,
		revisions: map[string]*revision{"": nobody},
		members:   map[string]*Backend{},
		leaving:   map[*Backend]struct{}{},
		expected:  Expectation{Reason: "no back end has been added"},
	}
}

// Add makes a back end available to claims; those that wait get it at once.
// Adding it again changes nothing, except that an ejected one is tried again.
// An ID that was drained does not come back before Readmit.
func (p *Pool) Add(id, address string) {
	p.mu.Lock()
	defer p.unlock()
	p.add(Member{ID: id, Address: address})
	if b := p.members[id]; b != nil && b.ejected {
		p.restore(b)
	}
	p.serveWaiting()
}

// Remove takes a back end out: when it returns, no claim yields it any more.
// Claims in flight go on. The same ID may be added again.
func (p *Pool) Remove(id string) {
	p.mu.Lock()
	defer p.unlock()
	p.takeOut(id)
	p.failHopeless()
}

// Replace makes members the back ends and e what is expected, all in one step:
// no claim sees a mixture of before and after. It returns the IDs it took out.
func (p *Pool) Replace(members []Member, e Expectation) (removed []string) {
	wanted := make(map[string]string, len(members))
	for _, m := range members {
		wanted[m.ID] = m.Address
	}
	p.mu.Lock()
	defer p.unlock()
	p.expect(e)
	for id, b := range p.members {
		if address, keep := wanted[id]; !keep || address != b.address {
			p.takeOut(id)
			removed = append(removed, id)
		}
	}
	for _, m := range members {
		p.add(m)
	}
	p.serveWaiting()
	p.failHopeless()
	slices.Sort(removed)
	return removed
}

// Expect tells the pool whether claims are worth holding while it is empty.
// Where hope is lost, those that wait fail at once.
func (p *Pool) Expect(e Expectation) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expect(e)
	p.failHopeless()
}

// Ready says whether a claim would be served without waiting.
func (p *Pool) Ready() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.usable) > 0
}

// Close ends the pool: claims that wait and new ones fail, claims in flight go
// on. It returns when the pool's goroutines have.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	p.expect(Expectation{Reason: "the Service is gone"})
	for id := range p.members {
		p.takeOut(id)
	}
	p.failHopeless()
	p.unlock()
	p.redials.Wait()
}

// unlock ends a change of the members. The connections of those that left are
// closed outside the lock, and before the change is called done.
func (p *Pool) unlock() {
	left := p.left
	p.left = nil
	p.mu.Unlock()
	for _, b := range left {
		b.depart()
	}
}

// Below: mu is held.

func (p *Pool) add(m Member) {
	if p.closed || p.drained.has(m.ID) {
		return
	}
	if b := p.members[m.ID]; b != nil && b.address == m.Address {
		return
	}
	p.takeOut(m.ID)
	b := &Backend{id: m.ID, address: m.Address, pool: p, revision: p.enter(m.Revision), out: make(chan struct{})}
	p.members[m.ID] = b
	p.usable = append(p.usable, b)
}

func (p *Pool) takeOut(id string) {
	b := p.members[id]
	if b == nil {
		return
	}
	delete(p.members, id)
	p.usable = slices.DeleteFunc(p.usable, func(u *Backend) bool { return u == b })
	if b.stopRedial != nil {
		b.stopRedial()
	}
	b.left = true
	close(b.out)
	b.empty = make(chan struct{})
	p.leaving[b] = struct{}{}
	p.left = append(p.left, b)
}

// pick takes the less busy of two back ends chosen at random: as good as
// looking at all of them, at the cost of two looks. avoid is passed over
// where there is another.
func (p *Pool) pick(avoid *Backend) *Backend {
	n := len(p.usable)
	if n == 0 {
		return nil
	}
	i := rand.IntN(n)
	if n == 1 {
		return p.usable[0]
	}
	j := rand.IntN(n - 1)
	if j >= i {
		j++
	}
	a, b := p.usable[i], p.usable[j]
	if a == avoid || b != avoid && b.inFlight < a.inFlight {
		return b
	}
	return a
}

// UnavailableError says why there is no back end to claim.
type UnavailableError struct {
	Reason string
	Coming bool // one is on its way, but it took too long or too many wait
}

func (e *UnavailableError) Error() string { return e.Reason }

// Causes with which Drain ends what is still in flight at its deadlines.
var (
	ErrStreamCut  = errors.New("the back end is leaving: stream ended at the drain deadline")
	ErrRequestCut = errors.New("the back end is leaving: request ended at the drain deadline")
)

// recent remembers the last few thousand IDs, which outlives every call that
// can still be under way for one of them.
type recent struct {
	ids  map[string]struct{}
	ring []string
	next int
}

const recentSize = 4096

func (r *recent) has(id string) bool {
	_, ok := r.ids[id]
	return ok
}

func (r *recent) add(id string) {
	if r.has(id) {
		return
	}
	if r.ids == nil {
		r.ids = map[string]struct{}{}
	}
	if len(r.ring) < recentSize {
		r.ring = append(r.ring, id)
	} else {
		delete(r.ids, r.ring[r.next])
		r.ring[r.next] = id
		r.next = (r.next + 1) % recentSize
	}
	r.ids[id] = struct{}{}
}
