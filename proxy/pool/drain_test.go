package pool

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

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
		stream.Stream(TCP, nil)
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
	p.Replace([]Member{{ID: "a", Address: "a:1"}}, Expectation{})
	if _, err := p.Claim(t.Context(), nil); err == nil {
		t.Error("a drained back end was claimed")
	}
}

type recordedUpstream struct{ idle, all int }

func (u *recordedUpstream) CloseIdle() { u.idle++ }

func (u *recordedUpstream) Close() { u.all++ }

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

// A claim that turns into a stream when the deadline for streams has passed is
// one that came too late.
func TestLateStreamIsCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{Dial: refused})
		p.Add("a", "a:1")
		c := claim(t, p)
		done := make(chan error, 1)
		go func() { done <- p.Drain(t.Context(), "a", time.Second) }()
		time.Sleep(2 * time.Second)
		c.Stream(TCP, nil)
		if cause := context.Cause(c.Context()); cause != ErrStreamCut {
			t.Errorf("ended with %v", cause)
		}
		c.Release()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
