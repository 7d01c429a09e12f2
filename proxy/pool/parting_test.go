package pool

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestNextToPart(t *testing.T) {
	t.Parallel()
	const total = 5 * time.Second
	ms := time.Millisecond
	tests := []struct {
		name    string
		elapsed time.Duration
		rests   []rest
		want    int
	}{
		{"nothing open", 0, nil, -1},
		{"the longest rest first", 0, []rest{{2 * time.Second, false}, {time.Hour, false}}, 1},
		{"a short rest is not enough at first", 0, []rest{{900 * ms, false}}, -1},
		{"nor is it in the first half", total / 2, []rest{{900 * ms, false}}, -1},
		{"later less is asked for", total * 8 / 10, []rest{{500 * ms, false}}, 0},
		{"in the end next to nothing", total * 95 / 100, []rest{{25 * ms, false}}, 0},
		{"but never within an exchange", total * 95 / 100, []rest{{time.Millisecond, true}}, -1},
		{"a long query goes on in the first half", total / 4, []rest{{3 * time.Second, true}}, -1},
		{"and nothing goes before it that rested less", total / 4, []rest{{3 * time.Second, true}, {2 * time.Second, false}}, -1},
		{"what rested longer does", total / 4, []rest{{3 * time.Second, true}, {4 * time.Second, false}}, 1},
		{"and at half time it is not waited for", total / 2, []rest{{3 * time.Second, true}, {2 * time.Second, false}}, 1},
		{"but goes on itself", total * 95 / 100, []rest{{3 * time.Second, true}}, -1},
	}
	for _, test := range tests {
		if got := nextToPart(test.rests, test.elapsed, total); got != test.want {
			t.Errorf("%s: got %d, want %d", test.name, got, test.want)
		}
	}
}

type restingConn struct {
	idle   time.Duration
	claim  *Claim
	held   bool
	closed time.Time
	unread time.Duration // for how long after begun there is something that nobody has read
	begun  time.Time
}

func (r *restingConn) Hold()   { r.held = true }
func (r *restingConn) Resume() { r.held = false }

func (r *restingConn) Rest() (time.Duration, bool) { return r.idle, false }
func (r *restingConn) Unread() bool                { return time.Since(r.begun) < r.unread }

func (r *restingConn) Close() {
	if !r.held {
		panic("closed while the client may send")
	}
	r.closed = time.Now()
	r.claim.Release()
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
