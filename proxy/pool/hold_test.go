package pool

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func answered(context.Context, string, string) (net.Conn, error) {
	a, b := net.Pipe()
	b.Close()
	return a, nil
}

func unavailable(t *testing.T, err error) *UnavailableError {
	t.Helper()
	var u *UnavailableError
	if !errors.As(err, &u) {
		t.Fatalf("got error %v, want an UnavailableError", err)
	}
	return u
}

func TestHoldUntilABackEndComes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{Dial: refused})
		p.Expect(Expectation{Coming: true, Reason: "pod a starts"})
		const n = 100
		got := make(chan string, n)
		for range n {
			go func() {
				c, err := p.Claim(t.Context(), nil)
				if err != nil {
					got <- err.Error()
					return
				}
				got <- c.Backend().ID()
				c.Release()
			}()
		}
		time.Sleep(3 * time.Second)
		if s := p.Snapshot(); s.Waiting != n {
			t.Fatalf("%d wait, want %d", s.Waiting, n)
		}
		p.Add("a", "a:1")
		for range n {
			if id := <-got; id != "a" {
				t.Errorf("got %s", id)
			}
		}
		s := p.Snapshot()
		if longest := s.Held.Quantile(1); s.Held.Count() != n || longest < 3*time.Second || longest > 3200*time.Millisecond {
			t.Errorf("held %d, longest %s", s.Held.Count(), longest)
		}
	})
}

func TestHoldEnds(t *testing.T) {
	t.Parallel()
	coming := Expectation{Coming: true, Reason: "pod a is starting"}
	tests := []struct {
		name  string
		act   func(p *Pool, leave context.CancelFunc)
		after time.Duration
		want  string
	}{
		{"at once where none is coming", func(p *Pool, _ context.CancelFunc) { p.Expect(Expectation{Reason: "scaled to zero"}) },
			0, "scaled to zero"},
		{"at the limit", func(*Pool, context.CancelFunc) {}, 30 * time.Second, "within 30s (pod a is starting)"},
		{"at the limit after the end of the one before", func(p *Pool, _ context.CancelFunc) {
			p.Expect(Expectation{Coming: true, Leaving: time.Now().Add(time.Minute)})
			time.Sleep(40 * time.Second)
			p.Expect(coming)
		}, 70 * time.Second, "within 1m10s (pod a is starting)"},
		{"at the limit after one before that does not end in time", func(p *Pool, _ context.CancelFunc) {
			p.Expect(Expectation{Coming: true, Reason: coming.Reason, Leaving: time.Now().Add(time.Minute)})
		}, 90 * time.Second, "within 1m30s (pod a is starting)"},
		{"in the end, whatever takes its time", func(p *Pool, _ context.CancelFunc) {
			p.Expect(Expectation{Coming: true, Reason: coming.Reason, Leaving: time.Now().Add(time.Hour)})
		}, longestHold, "within 5m0s (pod a is starting)"},
		{"when the client leaves", func(_ *Pool, leave context.CancelFunc) { leave() }, 0, "canceled"},
		{"when the pool closes", func(p *Pool, _ context.CancelFunc) { p.Close() }, 0, "gone"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := New(Options{Dial: refused})
				p.Expect(coming)
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				failed := make(chan error, 1)
				start := time.Now()
				go func() {
					_, err := p.Claim(ctx, nil)
					failed <- err
				}()
				synctest.Wait()
				test.act(p, leave)
				err := <-failed
				if err == nil || !strings.Contains(err.Error(), test.want) || time.Since(start) != test.after {
					t.Errorf("got %v after %s, want …%s… after %s", err, time.Since(start), test.want, test.after)
				}
				if n := p.Snapshot().Waiting; n != 0 {
					t.Errorf("%d still wait", n)
				}
			})
		})
	}
}

func TestHoldIsBoundedInNumber(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{Dial: refused, MaxWaiting: 1})
		p.Expect(Expectation{Coming: true})
		go func() {
			c, err := p.Claim(t.Context(), nil)
			if err != nil {
				t.Error(err)
				return
			}
			c.Release()
		}()
		synctest.Wait()
		_, err := p.Claim(t.Context(), nil)
		if u := unavailable(t, err); !u.Coming {
			t.Errorf("got %+v, want one that says that a back end is coming", u)
		}
		p.Add("a", "a:1")
	})
}

func TestRefusedIsEjectedAndComesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var listening atomic.Bool
		p := New(Options{Dial: func(ctx context.Context, n, a string) (net.Conn, error) {
			if listening.Load() {
				return answered(ctx, n, a)
			}
			return refused(ctx, n, a)
		}})
		defer p.Close()
		p.Add("a", "a:1")
		p.Add("b", "b:1")
		c := claim(t, p)
		down := c.Backend().ID()
		c.Unreachable()
		c.Release()
		for range 50 {
			if id := claim(t, p).Backend().ID(); id == down {
				t.Fatalf("the ejected back end %s was picked", id)
			}
		}
		time.Sleep(time.Second)
		listening.Store(true)
		time.Sleep(longestRedial)
		synctest.Wait()
		if id := claim(t, p).Backend().ID(); id != down {
			t.Errorf("picked %s, want %s, which has nothing in flight", id, down)
		}
	})
}

func TestHoldForAnEjectedBackEndHasALimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{Dial: refused})
		defer p.Close()
		p.Add("a", "a:1")
		c := claim(t, p)
		c.Unreachable()
		c.Release()
		start := time.Now()
		_, err := p.Claim(t.Context(), c)
		if u := unavailable(t, err); u.Reason != "back end a:1 refuses connections" {
			t.Errorf("reason: %s", u.Reason)
		}
		if d := time.Since(start); d < refusedPatience || d > refusedPatience+2*longestRedial {
			t.Errorf("held for %s, want about %s", d, refusedPatience)
		}
		p.Add("a", "a:1") // its probe passes
		claim(t, p).Release()
	})
}

func TestRetryPassesOverTheFailedBackEnd(t *testing.T) {
	t.Parallel()
	p := New(Options{Dial: refused})
	p.Add("a", "a:1")
	p.Add("b", "b:1")
	for range 50 {
		c := claim(t, p)
		c.Release()
		again, err := p.Claim(t.Context(), c)
		if err != nil || again.Backend() == c.Backend() {
			t.Fatalf("second attempt: %v on the same back end", err)
		}
		again.Release()
	}
}
