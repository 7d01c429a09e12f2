package pool

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func refused(context.Context, string, string) (net.Conn, error) { return nil, errors.New("refused") }

func answered(context.Context, string, string) (net.Conn, error) {
	a, b := net.Pipe()
	b.Close()
	return a, nil
}

func claim(t *testing.T, p *Pool) *Claim {
	t.Helper()
	c, err := p.Claim(t.Context(), nil)
	if err != nil {
		t.Fatalf("claim: %v", err)
	}
	return c
}

func unavailable(t *testing.T, err error) *UnavailableError {
	t.Helper()
	var u *UnavailableError
	if !errors.As(err, &u) {
		t.Fatalf("got error %v, want an UnavailableError", err)
	}
	return u
}

func TestClaimTakesTheLessBusyOfTwo(t *testing.T) {
	t.Parallel()
	p := New(Options{Dial: refused})
	p.Add("a", "a:1")
	p.Add("b", "b:1")
	count := map[string]int{}
	for range 100 {
		count[claim(t, p).Backend().ID()]++
	}
	if count["a"] != 50 || count["b"] != 50 {
		t.Errorf("claims went %v, want 50 each", count)
	}
}

// While claims are made without pause, none may yield a back end after its
// Remove has returned.
func TestRemoveIsAcknowledged(t *testing.T) {
	t.Parallel()
	p := New(Options{Dial: refused})
	p.Add("stay", "stay:1")
	var removed [200]atomic.Bool
	stop := make(chan struct{})
	var claimers sync.WaitGroup
	for range 4 {
		claimers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				var before [200]bool
				for i := range removed {
					before[i] = removed[i].Load()
				}
				c, err := p.Claim(context.Background(), nil)
				if err != nil {
					t.Errorf("claim: %v", err)
					return
				}
				var i int
				if n, _ := fmt.Sscanf(c.Backend().ID(), "go-%d", &i); n == 1 && before[i] {
					t.Errorf("claim yielded back end %d after its removal", i)
				}
				c.Release()
			}
		})
	}
	for i := range removed {
		id := fmt.Sprintf("go-%d", i)
		p.Add(id, id+":1")
		p.Remove(id)
		removed[i].Store(true)
	}
	close(stop)
	claimers.Wait()
}

func TestDrainWaitsForClaims(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{Dial: refused})
		p.Add("a", "a:1")
		c := claim(t, p)
		done := make(chan error, 1)
		start := time.Now()
		go func() { done <- p.Drain(t.Context(), "a", time.Second) }()
		synctest.Wait()
		select {
		case <-done:
			t.Fatal("drain returned with a claim in flight")
		default:
		}
		time.Sleep(3 * time.Second)
		if c.Context().Err() != nil {
			t.Error("a request was cut at the deadline for streams")
		}
		c.Release()
		if err := <-done; err != nil || time.Since(start) != 3*time.Second {
			t.Errorf("drain: %v after %s, want none after 3s", err, time.Since(start))
		}
	})
}

func TestDrainCutsAtItsDeadlines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{Dial: refused})
		p.Add("a", "a:1")
		request, stream := claim(t, p), claim(t, p)
		stream.Stream(nil)
		start := time.Now()
		ended := func(c *Claim, want error, after time.Duration) {
			<-c.Context().Done()
			if cause := context.Cause(c.Context()); cause != want || time.Since(start) != after {
				t.Errorf("claim ended with %v after %s, want %v after %s", cause, time.Since(start), want, after)
			}
			c.Release()
		}
		go ended(request, ErrRequestCut, 10*time.Second)
		go ended(stream, ErrStreamCut, 2*time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := p.Drain(ctx, "a", 2*time.Second); err != nil {
			t.Error(err)
		}
		if s := p.Snapshot(); s.CutAtDrain != 2 {
			t.Errorf("counted %d cuts, want 2", s.CutAtDrain)
		}
	})
}

func TestDrainReportsWhatWillNotEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{Dial: refused})
		p.Add("a", "a:1")
		c := claim(t, p)
		defer c.Release()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.Drain(ctx, "a", time.Second); err == nil {
			t.Error("drain reported nothing")
		}
	})
}

func TestDrainedNeverComesBackRemovedDoes(t *testing.T) {
	t.Parallel()
	p := New(Options{Dial: refused})
	p.Add("a", "a:1")
	p.Remove("a")
	p.Add("a", "a:1")
	claim(t, p).Release()
	if err := p.Drain(t.Context(), "a", 0); err != nil {
		t.Fatal(err)
	}
	p.Add("a", "a:1")
	p.Replace([]Member{{"a", "a:1"}})
	if _, err := p.Claim(t.Context(), nil); err == nil {
		t.Error("a drained back end was claimed")
	}
}

type recordedUpstream struct{ idle, all int }

func (u *recordedUpstream) CloseIdle() { u.idle++ }
func (u *recordedUpstream) Close()     { u.all++ }

func TestLeavingClosesConnections(t *testing.T) {
	t.Parallel()
	p := New(Options{Dial: refused})
	p.Add("a", "a:1")
	c := claim(t, p)
	up := &recordedUpstream{}
	c.Backend().Upstream(func() Upstream { return up })
	p.Remove("a")
	if up.idle != 1 || up.all != 0 {
		t.Errorf("after Remove: closed idle %d times, all %d times; want 1, 0", up.idle, up.all)
	}
	c.Release()
	if up.all != 1 {
		t.Errorf("after the last claim: closed all %d times, want 1", up.all)
	}
	c.Release()
	if n := p.InFlight("a"); n != 0 {
		t.Errorf("in flight: %d", n)
	}
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
		if s := p.Snapshot(); s.Held != n || s.LongestHold != 3*time.Second {
			t.Errorf("held %d, longest %s", s.Held, s.LongestHold)
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

func TestReplaceIsOneStep(t *testing.T) {
	t.Parallel()
	p := New(Options{Dial: refused})
	p.Add("blue", "blue:1")
	c := claim(t, p)
	removed := p.Replace([]Member{{"green", "green:1"}})
	if len(removed) != 1 || removed[0] != "blue" {
		t.Errorf("removed %v", removed)
	}
	for range 20 {
		next := claim(t, p)
		if next.Backend().ID() != "green" {
			t.Fatal("blue was claimed")
		}
		next.Release()
	}
	// Blue comes back before its claim has ended, and a drain of its first
	// stay does not touch the second.
	p.Replace([]Member{{"blue", "blue:1"}})
	second := claim(t, p)
	go c.Release()
	if err := p.Empty(t.Context(), "blue", time.Minute); err != nil {
		t.Error(err)
	}
	if second.Context().Err() != nil {
		t.Error("the second stay was cut")
	}
}

func TestSnapshot(t *testing.T) {
	t.Parallel()
	p := New(Options{Dial: refused})
	p.Add("a", "a:1")
	c := claim(t, p)
	p.Remove("a")
	p.Add("a", "a:1")
	p.Failed(Broken)
	p.Failed(ClientGone)
	s := p.Snapshot()
	if s.Requests != 1 || s.Failures["broken"] != 1 || len(s.Failures) != 1 || s.ClientGone != 1 {
		t.Errorf("counters: %+v", s)
	}
	want := []BackendSnapshot{{Member{"a", "a:1"}, "leaving", 1}, {Member{"a", "a:1"}, "serving", 0}}
	if len(s.Backends) != 2 || s.Backends[0] != want[0] || s.Backends[1] != want[1] {
		t.Errorf("back ends: %+v", s.Backends)
	}
	c.Release()
}

func TestRecentForgetsTheOldest(t *testing.T) {
	t.Parallel()
	var r recent
	for i := range recentSize + 1 {
		r.add(fmt.Sprint(i))
	}
	if r.has("0") || !r.has("1") || !r.has(fmt.Sprint(recentSize)) || len(r.ids) != recentSize {
		t.Errorf("wrong IDs remembered, %d in all", len(r.ids))
	}
}

func BenchmarkClaim(b *testing.B) {
	p := New(Options{Dial: refused})
	for i := range 3 {
		p.Add(fmt.Sprint(i), "a:1")
	}
	ctx := b.Context()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c, err := p.Claim(ctx, nil)
			if err != nil {
				b.Fatal(err)
			}
			c.Release()
		}
	})
}
