package pool

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestToPart(t *testing.T) {
	t.Parallel()
	const total = 5 * time.Second
	ms := time.Millisecond
	answered := func(d time.Duration) Rest { return Rest{Idle: d} }
	asked := func(d time.Duration) Rest { return Rest{Idle: d, Waiting: true} }
	watching := func(d time.Duration) Rest { return Rest{Idle: d, Watching: true} }
	tests := []struct {
		name    string
		elapsed time.Duration
		rests   []Rest
		want    []int // which of rests
	}{
		{"nothing open", 0, nil, nil},
		{"the longest rest first", 0, []Rest{answered(2 * time.Second), answered(time.Hour)}, []int{1}},
		{"a short rest is not enough at first", 0, []Rest{answered(900 * ms)}, nil},
		{"nor is it in the first half", total / 2, []Rest{answered(900 * ms)}, nil},
		{"later less is asked for", total * 8 / 10, []Rest{answered(500 * ms)}, []int{0}},
		{"in the end next to nothing", total * 95 / 100, []Rest{answered(25 * ms)}, []int{0}},
		{"but never within an exchange", total * 95 / 100, []Rest{asked(time.Millisecond)}, nil},
		{"a long query goes on in the first half", total / 4, []Rest{asked(3 * time.Second)}, nil},
		{"and nothing goes before it that rested less", total / 4, []Rest{asked(3 * time.Second), answered(2 * time.Second)}, nil},
		{"what rested longer does", total / 4, []Rest{asked(3 * time.Second), answered(4 * time.Second)}, []int{1}},
		{"and at half time it is not waited for", total / 2, []Rest{asked(3 * time.Second), answered(2 * time.Second)}, []int{1}},
		{"but goes on itself", total * 95 / 100, []Rest{asked(3 * time.Second)}, nil},
		{"those that watch go before all, however short ago there was news", 0,
			[]Rest{answered(time.Hour), watching(time.Millisecond), asked(time.Minute), watching(time.Second)}, []int{1, 3}},
	}
	for _, test := range tests {
		var all []*leaver
		for _, r := range test.rests {
			all = append(all, &leaver{rest: r})
		}
		var got []int
		for _, l := range toPart(all, test.elapsed, total) {
			got = append(got, slices.Index(all, l))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: got %d, want %d", test.name, got, test.want)
		}
	}
}

type restingConn struct {
	client   netip.Addr
	idle     time.Duration
	watching bool
	reaction func() // to the end of a connection that watches
	claim    *Claim
	held     bool
	closed   time.Time
	unread   time.Duration // for how long after begun there is something that nobody has read
	begun    time.Time
	taken    time.Time     // when the client has got all that it was sent
	last     time.Duration // busy until what the client sends is held back, and then for so long with the last answer
	heldAt   time.Time
}

func (r *restingConn) Client() netip.Addr { return r.client }
func (r *restingConn) Hold()              { r.held, r.heldAt = true, time.Now() }
func (r *restingConn) Resume()            { r.held = false }
func (r *restingConn) Rest() Rest {
	if r.last > 0 {
		asked := !r.held || time.Since(r.heldAt) < r.last
		return Rest{Idle: time.Millisecond + r.idle, Asked: asked, Waiting: asked}
	}
	return Rest{Idle: r.idle, Watching: r.watching}
}
func (r *restingConn) Untaken() bool { return time.Now().Before(r.taken) }
func (r *restingConn) Unread() bool  { return time.Since(r.begun) < r.unread }

func (r *restingConn) Close() {
	if !r.held {
		panic("closed while the client may send")
	}
	r.closed = time.Now()
	r.claim.Release()
	if r.reaction != nil {
		r.reaction()
	}
}

// An idle pool must not hold up a rollout, and the connection that rested
// longest must have gone a while before the others.
func TestDrainLetsRestingConnectionsGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{Dial: refused})
		p.Add("a", "a:1")
		var conns []*restingConn
		for i := range 20 {
			c := &restingConn{idle: time.Minute + time.Duration(i)*time.Second, claim: claim(t, p)}
			c.claim.Stream(TCP, c)
			conns = append(conns, c)
		}
		start := time.Now()
		if err := p.Drain(t.Context(), "a", 5*time.Second); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d > time.Second {
			t.Errorf("drain of an idle pool took %s", d)
		}
		for i, c := range conns {
			if c.held {
				t.Errorf("connection %d is still held back", i)
			}
		}
		for i := range conns[1:] {
			gap := conns[i].closed.Sub(conns[i+1].closed)
			if want := laterPause; i == len(conns)-2 && gap != firstPause || gap <= 0 || gap > firstPause {
				t.Errorf("connection %d was closed %s after the one that rested longer, want %s or so", i, gap, want)
			}
		}
		if s := p.Snapshot(); s.CutAtDrain != 0 {
			t.Errorf("%d were cut", s.CutAtDrain)
		}
	})
}

// What seems to rest, and has sent something that nobody has got to read yet, is
// left alone until that has passed.
func TestDrainLeavesTheUnreadAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{Dial: refused})
		p.Add("a", "a:1")
		c := &restingConn{idle: time.Minute, begun: time.Now(), unread: 2 * time.Second, claim: claim(t, p)}
		c.claim.Stream(TCP, c)
		if err := p.Drain(t.Context(), "a", 30*time.Second); err != nil {
			t.Fatal(err)
		}
		if after := c.closed.Sub(c.begun); after < c.unread || after > c.unread+time.Second {
			t.Errorf("it was closed after %s", after)
		}
		if s := p.Snapshot(); c.held || s.CutAtDrain != 0 {
			t.Errorf("held back: %t, %d were cut", c.held, s.CutAtDrain)
		}
	})
}

// What is never at rest is held back shortly before the deadline, and closed once it
// has its last answer and its client has taken that.
func TestDrainEndsTheBusyAfterAnAnswer(t *testing.T) {
	t.Parallel()
	const total, late = 5 * time.Second, lastHold / 2 // after it is held back
	for name, c := range map[string]restingConn{
		"a late answer": {last: late},
		"taken late":    {last: time.Millisecond, taken: time.Time{}.Add(total - lastHold + late)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := New(Options{Dial: refused})
				p.Add("a", "a:1")
				start := time.Now()
				c.taken = start.Add(c.taken.Sub(time.Time{}))
				c.idle, c.claim = shortRest, claim(t, p)
				c.claim.Stream(TCP, &c)
				if err := p.Drain(t.Context(), "a", total); err != nil {
					t.Fatal(err)
				}
				if after := c.closed.Sub(start); after < total-lastHold+late || after >= total {
					t.Errorf("it was closed after %s", after)
				}
				if s := p.Snapshot(); s.CutAtDrain != 0 {
					t.Errorf("%d were cut", s.CutAtDrain)
				}
			})
		})
	}
}

// A driver on a busy machine needs its time to give up its pool: none of that is
// closed before. Another client does not wait for it.
func TestDrainAwaitsTheDriversReaction(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{Dial: refused})
		p.Add("a", "a:1")
		busy, other := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
		open := func(client netip.Addr, idle time.Duration) *restingConn {
			c := &restingConn{client: client, idle: idle, claim: claim(t, p)}
			c.claim.Stream(TCP, c)
			return c
		}
		const slow = 800 * time.Millisecond
		var pool []*restingConn
		for range 5 {
			pool = append(pool, open(busy, time.Minute))
		}
		var gaveUp time.Time
		watch := open(busy, time.Millisecond)
		watch.watching = true
		watch.reaction = func() {
			time.AfterFunc(slow, func() {
				gaveUp = time.Now()
				for _, c := range pool[1:] {
					c.claim.Release()
				}
			})
		}
		alone := open(other, time.Minute)
		start := time.Now()
		if err := p.Drain(t.Context(), "a", 5*time.Second); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); gaveUp.IsZero() || d > gaveUp.Sub(start)+holdGap+2*holdLead {
			t.Errorf("drained after %s, the driver gave up its pool after %s", d, gaveUp.Sub(start))
		}
		if d := watch.closed.Sub(start); d > 2*holdLead {
			t.Errorf("the connection that watches was closed after %s", d)
		}
		if d := alone.closed.Sub(start); d > 2*holdLead {
			t.Errorf("the other client's was closed after %s", d)
		}
		for i, c := range pool[1:] {
			if !c.closed.IsZero() {
				t.Errorf("connection %d was closed %s before the driver gave it up", i+1, gaveUp.Sub(c.closed))
			}
		}
		if c := pool[0]; c.closed.Before(gaveUp) { // it is in use
			t.Errorf("what the driver has kept was closed %s before it gave up the others", gaveUp.Sub(c.closed))
		}
	})
}
