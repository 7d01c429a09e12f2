// Package work is how controllers work: what informers tell becomes keys in a
// queue, and workers take one key after the other and look at its object anew.
package work

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
)

const (
	firstRetry = 5 * time.Millisecond
	lastRetry  = 10 * time.Second
)

// ErrSoon in an error says that what stood in the way goes by itself, as after a
// conflict: it is not worth a warning.
var ErrSoon = errors.New("try again soon")

// Queue holds keys until a worker takes them; a key that is added again while
// it is worked on is worked on once more. Whoever makes one runs it.
type Queue[K comparable] struct {
	workqueue.TypedRateLimitingInterface[K]
	log      *slog.Logger
	unfollow []func()
	synced   []cache.DoneChecker
	err      error
}

// NewQueue makes a queue whose clock, nil for the real one, times what is added
// for later.
func NewQueue[K comparable](log *slog.Logger, clock clock.WithTicker) *Queue[K] {
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[K](firstRetry, lastRetry)
	config := workqueue.TypedRateLimitingQueueConfig[K]{Clock: clock}
	return &Queue[K]{TypedRateLimitingInterface: workqueue.NewTypedRateLimitingQueueWithConfig(limiter, config), log: log}
}

// Follow has handler, which adds keys, told of the informer's objects until Run
// returns.
func (q *Queue[K]) Follow(informer cache.SharedIndexInformer, handler cache.ResourceEventHandler) {
	registration, err := informer.AddEventHandler(handler)
	if err != nil {
		q.err = errors.Join(q.err, err)
		return
	}
	// An informer refuses only a registration that is not its own.
	q.unfollow = append(q.unfollow, func() { _ = informer.RemoveEventHandler(registration) })
	q.synced = append(q.synced, registration.HasSyncedChecker())
}

// Run gives the keys to so many workers at a time, once the informers have told
// of all that there is, until ctx ends. It returns when nothing is under way any
// more. A key whose look failed is tried again, later each time.
func (q *Queue[K]) Run(ctx context.Context, workers int, look func(context.Context, K) error) error {
	defer func() {
		for _, unfollow := range q.unfollow {
			unfollow()
		}
	}()
	var running sync.WaitGroup
	defer running.Wait()
	defer q.ShutDown()
	if q.err != nil {
		return fmt.Errorf("follow informers: %w", q.err)
	}
	if !cache.WaitFor(ctx, "", q.synced...) {
		return nil
	}
	for range workers {
		running.Go(func() {
			for q.next(ctx, look) {
			}
		})
	}
	<-ctx.Done()
	return nil
}

func (q *Queue[K]) next(ctx context.Context, look func(context.Context, K) error) bool {
	key, quit := q.Get()
	if quit {
		return false
	}
	defer q.Done(key)
	err := Contain(ctx, func(ctx context.Context) error { return look(ctx, key) })
	switch {
	case err == nil, ctx.Err() != nil:
		q.Forget(key)
		return true
	case passing(err):
		q.log.Debug("try again soon", "key", key, "error", err)
	default:
		q.log.Warn("try again later", "key", key, "error", err)
	}
	q.AddRateLimited(key)
	return true
}

// passing tells the errors of a decision on what has changed since: the
// informer is behind, and what it brings is worked on anew.
func passing(err error) bool {
	return errors.Is(err, ErrSoon) || apierrors.IsConflict(err) || apierrors.IsNotFound(err) ||
		apierrors.IsAlreadyExists(err) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
}

// OnAny calls handle with every object that appears, changes or goes.
func OnAny[T any](handle func(T)) cache.ResourceEventHandlerFuncs {
	on := func(obj any) {
		if last, ok := LastState[T](obj); ok {
			handle(last)
		}
	}
	return cache.ResourceEventHandlerFuncs{AddFunc: on, UpdateFunc: func(_, obj any) { on(obj) }, DeleteFunc: on}
}

// LastState is the object of an event. If it is of a deletion that was missed,
// it is what the informer last knew.
func LastState[T any](obj any) (T, bool) {
	if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = tombstone.Obj
	}
	last, ok := obj.(T)
	return last, ok
}
