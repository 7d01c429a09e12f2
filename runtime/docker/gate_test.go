package docker

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func TestGateOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1)
		leave, err := g.enter(t.Context(), creating)
		if err != nil {
			t.Fatal(err)
		}
		var order []rank
		for _, r := range []rank{removing, creating, starting, removing, starting} {
			go func() {
				leave, err := g.enter(t.Context(), r)
				if err != nil {
					t.Error(err)
					return
				}
				order = append(order, r) // one at a time: the gate is a lock here
				leave()
			}()
			synctest.Wait()
		}
		leave()
		synctest.Wait()
		if want := []rank{starting, starting, creating, removing, removing}; !slices.Equal(order, want) {
			t.Errorf("order %v, want %v", order, want)
		}
	})
}

func TestGateBounds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(4)
		var inside [ranks]atomic.Int32
		release := make(chan struct{})
		enter := func(r rank, n int) {
			for range n {
				go func() {
					leave, err := g.enter(t.Context(), r)
					if err != nil {
						t.Error(err)
						return
					}
					inside[r].Add(1)
					<-release
					leave()
				}()
				synctest.Wait()
			}
		}
		enter(removing, 10)
		if inside[removing].Load() != 2 {
			t.Errorf("%d removals at a time, want half of the gate", inside[removing].Load())
		}
		enter(starting, 10)
		if inside[starting].Load() != 2 {
			t.Errorf("%d starts beside the removals, want the other half", inside[starting].Load())
		}
		close(release)
		synctest.Wait()
		if inside[removing].Load() != 10 || inside[starting].Load() != 10 {
			t.Errorf("%d removals and %d starts went through, want 10 of each", inside[removing].Load(), inside[starting].Load())
		}
	})
}

func TestGateGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1)
		leave, err := g.enter(t.Context(), starting)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error, 1)
		go func() {
			_, err := g.enter(ctx, starting)
			failed <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Errorf("enter = %v, want canceled", err)
		}
		leave()
		again, err := g.enter(t.Context(), removing)
		if err != nil {
			t.Fatal(err)
		}
		again()
	})
}
