package node

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// turns says whose containers are started next. The engine does a few starts at
// a time well, and more of them only slower; of many that are asked for at once,
// the first replica of each workload comes before the second of any, so that
// everything answers early.
//
// What ends is not in the way of what begins: it waits for a lull.
type turns struct {
	mu      sync.Mutex // guards the rest
	free    int
	taken   int
	ended   time.Time         // when the last turn was over
	changed chan struct{}     // closed, and made anew, when a turn is over
	reached int               // the highest rank that has had its turn
	last    map[types.UID]int // the rank of each owner's newest Pod, where it is above reached
	waiting []*waiter         // in the order in which they came

	atLeisure chan struct{} // filled while somebody uses a lull for what can wait
}

type waiter struct {
	rank int
	turn chan struct{} // closed when it has come
}

func newTurns() *turns {
	return &turns{free: 2 * runtime.NumCPU(), changed: make(chan struct{}), last: map[types.UID]int{}, atLeisure: make(chan struct{}, 1)}
}

// rank is the place of an owner's next Pod: behind that owner's Pods that have
// not had their turn, and beside the first ones of others.
func (t *turns) rank(owner types.UID) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	for o, rank := range t.last {
		if rank <= t.reached {
			delete(t.last, o)
		}
	}
	rank := max(t.reached, t.last[owner]) + 1
	t.last[owner] = rank
	return rank
}

// take waits for a turn and returns the call that ends it.
func (t *turns) take(ctx context.Context, rank int) (leave func(), err error) {
	w := &waiter{rank: rank, turn: make(chan struct{})}
	t.mu.Lock()
	t.waiting = append(t.waiting, w)
	t.admit()
	t.mu.Unlock()
	select {
	case <-w.turn:
		return t.leave, nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	n := slices.Index(t.waiting, w)
	if n >= 0 {
		t.waiting = slices.Delete(t.waiting, n, n+1)
	}
	t.mu.Unlock()
	if n < 0 { // its turn came at the last moment
		t.leave()
	}
	return nil, ctx.Err()
}

func (t *turns) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.free++
	t.taken--
	t.ended = time.Now()
	close(t.changed)
	t.changed = make(chan struct{})
	t.admit()
}

const (
	// calm is how long nothing must have been started for a lull: in a rolling
	// update the next start follows the last one within a tenth of a second.
	calm = 250 * time.Millisecond
	// leisureCalm is the same for what can wait: more than what is between the starts
	// of a rolling update whose Pods take their time to be ready.
	leisureCalm = 2 * time.Second
	// lullPatience bounds the wait for a lull.
	lullPatience = 2 * time.Second
)

// lull waits until nothing is being started and, it seems, nothing is about to
// be: the end of a container costs the engine as much as half a start, which
// the one that takes its place would have to wait for. It returns after within
// in any case.
func (t *turns) lull(ctx context.Context, within time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, min(within, lullPatience))
	defer cancel()
	t.rest(ctx, calm)
}

// leisure waits for a lull however long that takes, and lets one at a time do what
// nobody waits for. It returns the call that ends that.
func (t *turns) leisure(ctx context.Context) (leave func(), err error) {
	select {
	case t.atLeisure <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	leave = func() { <-t.atLeisure }
	if t.rest(ctx, leisureCalm); ctx.Err() != nil {
		leave()
		return nil, ctx.Err()
	}
	return leave, nil
}

// rest returns when nothing has been started for so long, or when ctx ends.
func (t *turns) rest(ctx context.Context, calm time.Duration) {
	for {
		wait, changed := t.unrest(calm)
		if wait <= 0 {
			return
		}
		timer := time.NewTimer(wait)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// unrest is how long the end of so much calm is away if nothing begins before, and
// what is closed when that is to be asked again.
func (t *turns) unrest(calm time.Duration) (wait time.Duration, changed <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.taken > 0 {
		return lullPatience, t.changed
	}
	return time.Until(t.ended.Add(calm)), t.changed
}

// admit lets in those who come first. The lock is held.
func (t *turns) admit() {
	for t.free > 0 && len(t.waiting) > 0 {
		n := foremost(t.waiting)
		w := t.waiting[n]
		t.waiting = slices.Delete(t.waiting, n, n+1)
		t.free--
		t.taken++
		t.reached = max(t.reached, w.rank)
		close(w.turn)
	}
}

// foremost finds who is next: the lowest rank, and of those who came first.
func foremost(waiting []*waiter) int {
	first := 0
	for n, w := range waiting {
		if w.rank < waiting[first].rank {
			first = n
		}
	}
	return first
}

// workload is whose replica a Pod is; its own where it is nobody's.
func workload(pod *corev1.Pod) types.UID {
	if c := metav1.GetControllerOf(pod); c != nil {
		return c.UID
	}
	return pod.UID
}
