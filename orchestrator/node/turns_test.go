package node

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// playTurns has Pods, named owner and number, ask for a turn while all are taken, and
// gives the order in which they get them.
func playTurns(t *testing.T, asked ...string) (got []string) {
	t.Helper()
	turns := newTurns()
	turns.free = 0
	came := make(chan string)
	for _, name := range asked {
		rank := turns.rank(types.UID(name[:1]))
		go func() {
			if _, err := turns.take(t.Context(), rank); err == nil {
				came <- name
			}
		}()
		synctest.Wait() // they come one after the other
	}
	for range asked {
		turns.leave()
		got = append(got, <-came)
	}
	return got
}

func TestTurns(t *testing.T) {
	for name, test := range map[string]struct{ asked, want string }{
		"one owner":               {"a1 a2 a3", "a1 a2 a3"},
		"the first ones first":    {"a1 a2 a3 b1 b2 c1", "a1 b1 c1 a2 b2 a3"},
		"nobody's own are equal":  {"a1 b1 c1", "a1 b1 c1"},
		"who comes first of each": {"b1 a1 b2 a2", "b1 a1 b2 a2"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if got := playTurns(t, strings.Fields(test.asked)...); !slices.Equal(got, strings.Fields(test.want)) {
					t.Errorf("turns of %s: %s, want %s", test.asked, got, test.want)
				}
			})
		})
	}
}

// TestTurnsForLateOwner: who comes when others have been let in is not behind all
// that those still want.
func TestTurnsForLateOwner(t *testing.T) {
	turns := newTurns()
	for range 3 {
		leave, err := turns.take(t.Context(), turns.rank("a"))
		if err != nil {
			t.Fatal(err)
		}
		leave()
	}
	behind := turns.rank("a")
	if turns.rank("a") != behind+1 || turns.rank("b") != behind {
		t.Error("another owner's first Pod is not beside the next of the first owner")
	}
	if len(turns.last) != 2 {
		t.Errorf("%d owners are remembered, want the two that wait", len(turns.last))
	}
}

func TestTurnGivenUp(t *testing.T) {
	turns := newTurns()
	turns.free = 1
	leave, err := turns.take(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := turns.take(ctx, 2); !errors.Is(err, context.Canceled) {
		t.Errorf("a turn that was given up: %v", err)
	}
	leave()
	if _, err := turns.take(t.Context(), 3); err != nil || turns.free != 0 || len(turns.waiting) != 0 {
		t.Errorf("after one was given up: %v, %d free, %d waiting", err, turns.free, len(turns.waiting))
	}
}

// TestLull: what ends waits for what begins, and for what follows on it, but not
// for ever.
func TestLull(t *testing.T) {
	for name, test := range map[string]struct {
		starts []time.Duration // when a turn begins and when it ends, by turns
		within time.Duration
		want   time.Duration
	}{
		"nothing was ever started": {within: time.Hour},
		"while something starts":   {starts: []time.Duration{0, time.Second}, within: time.Hour, want: time.Second + calm},
		"the next one follows":     {starts: []time.Duration{0, 300 * time.Millisecond, 400 * time.Millisecond, 700 * time.Millisecond}, within: time.Hour, want: 700*time.Millisecond + calm},
		"the next one is late":     {starts: []time.Duration{0, 300 * time.Millisecond, time.Second, 2 * time.Second}, within: time.Hour, want: 300*time.Millisecond + calm},
		"no more than it may":      {starts: []time.Duration{0, time.Second}, within: 100 * time.Millisecond, want: 100 * time.Millisecond},
		"what starts does not end": {starts: []time.Duration{0, time.Minute}, within: time.Hour, want: lullPatience},
		"no time is left for it":   {starts: []time.Duration{0, time.Minute}, within: -time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				turns, begin := newTurns(), time.Now()
				var starting sync.WaitGroup
				defer starting.Wait()
				starting.Go(func() {
					for n := 0; n < len(test.starts); n += 2 {
						time.Sleep(test.starts[n] - time.Since(begin))
						leave, err := turns.take(t.Context(), n)
						if err != nil {
							t.Error(err)
							return
						}
						time.Sleep(test.starts[n+1] - time.Since(begin))
						leave()
					}
				})
				synctest.Wait()
				turns.lull(t.Context(), test.within)
				if took := time.Since(begin); took != test.want {
					t.Errorf("the lull came after %v, want %v", took, test.want)
				}
			})
		})
	}
}

// TestLeisure: what nobody waits for is done one at a time, while nothing starts.
func TestLeisure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns, begin := newTurns(), time.Now()
		end, err := turns.take(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		var errands sync.WaitGroup
		var began []time.Duration
		for range 2 {
			errands.Go(func() {
				leave, err := turns.leisure(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				began = append(began, time.Since(begin)) // one at a time, as the race detector sees
				time.Sleep(time.Second)
				leave()
			})
		}
		time.Sleep(time.Minute)
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := turns.leisure(gone); !errors.Is(err, context.Canceled) {
			t.Errorf("without anybody who wants it: %v", err)
		}
		end()
		errands.Wait()
		if want := []time.Duration{time.Minute + leisureCalm, time.Minute + leisureCalm + time.Second}; !slices.Equal(began, want) {
			t.Errorf("began after %v, want %v", began, want)
		}
	})
}
