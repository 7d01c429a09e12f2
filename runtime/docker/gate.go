package docker

import (
	"context"
	"sync"
)

// rank orders those who wait at the gate. Starts go before creations, so that
// of ten Pods the first is ready while the last is not yet created; removals
// go last, for nobody waits for them.
type rank int

const (
	starting rank = iota
	creating
	removing
	ranks
)

// gate lets a bounded number of calls that make the engine work hard run side
// by side. Two cores are saturated by about four starts at a time; more of
// them only delay the first.
type gate struct {
	mu       sync.Mutex // guards the rest
	free     int
	removals int // how many more may run: at most half of the gate
	waiting  [ranks][]chan struct{}
}

func newGate(slots int) *gate {
	return &gate{free: slots, removals: max(1, slots/2)}
}

// enter waits for a slot and returns the call that gives it back.
func (g *gate) enter(ctx context.Context, r rank) (leave func(), err error) {
	g.mu.Lock()
	turn := make(chan struct{})
	g.waiting[r] = append(g.waiting[r], turn)
	g.admit()
	g.mu.Unlock()

	select {
	case <-turn:
		return func() { g.leave(r) }, nil
	case <-ctx.Done():
		g.giveUp(r, turn)
		return nil, ctx.Err()
	}
}

func (g *gate) leave(r rank) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.free++
	if r == removing {
		g.removals++
	}
	g.admit()
}

// giveUp takes a waiter out of the queue, or gives back the slot that it got
// at the last moment.
func (g *gate) giveUp(r rank, turn chan struct{}) {
	g.mu.Lock()
	for i, w := range g.waiting[r] {
		if w == turn {
			g.waiting[r] = append(g.waiting[r][:i], g.waiting[r][i+1:]...)
			g.mu.Unlock()
			return
		}
	}
	g.mu.Unlock()
	g.leave(r)
}

// admit hands the free slots to those who wait. The lock is held.
func (g *gate) admit() {
	for r := starting; r < ranks; r++ {
		for g.free > 0 && len(g.waiting[r]) > 0 && (r != removing || g.removals > 0) {
			close(g.waiting[r][0])
			g.waiting[r] = g.waiting[r][1:]
			g.free--
			if r == removing {
				g.removals--
			}
		}
	}
}
