package pool

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func refused(context.Context, string, string) (net.Conn, error) { return nil, errors.New("refused") }

func claim(t *testing.T, p *Pool) *Claim {
	t.Helper()
	c, err := p.Claim(t.Context(), nil)
	if err != nil {
		t.Fatalf("claim: %v", err)
	}
	return c
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

func TestReplaceIsOneStep(t *testing.T) {
	t.Parallel()
	p := New(Options{Dial: refused})
	p.Add("blue", "blue:1")
	c := claim(t, p)
	removed := p.Replace([]Member{{ID: "green", Address: "green:1"}}, Expectation{})
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
	p.Replace([]Member{{ID: "blue", Address: "blue:1"}}, Expectation{})
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
	s := p.Snapshot()
	a := Member{ID: "a", Address: "a:1"}
	want := []BackendSnapshot{{a, "leaving", 1}, {a, "serving", 0}}
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
