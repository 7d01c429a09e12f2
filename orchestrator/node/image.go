package node

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"skiff/runtime/container"
)

// How long an answer about an image is used again: long enough for the Pods
// that a rollout makes in one go, too short for somebody to build the image
// anew and start a Pod of it in between.
const imageFresh = 250 * time.Millisecond

// images asks the engine for images, each question once for all Pods that have
// it at the same time.
type images struct {
	engine Images
	tasks  sync.WaitGroup

	mu      sync.Mutex // guards the rest
	known   map[string]knownImage
	flights map[flightKey]*flight
}

type knownImage struct {
	image container.Image
	at    time.Time
}

type flightKey struct {
	ref  string
	pull bool
	as   container.Credential // what one may have is not another's
}

// flight is a call under way and those who wait for it. It is cut short when
// the last of them leaves.
type flight struct {
	waiters     int // guarded by images.mu
	cancel      context.CancelFunc
	done        chan struct{}
	image       container.Image // set before done is closed
	err         error
	have, total atomic.Int64 // bytes
}

func newImages(engine Images) *images {
	return &images{engine: engine, known: map[string]knownImage{}, flights: map[flightKey]*flight{}}
}

// wait returns when no call is under way. All who wait for one must have left.
func (i *images) wait() { i.tasks.Wait() }

// local describes an image that the engine has.
func (i *images) local(ctx context.Context, ref string) (container.Image, error) {
	i.mu.Lock()
	k, ok := i.known[ref]
	i.mu.Unlock()
	if ok && time.Since(k.at) < imageFresh {
		return k.image, nil
	}
	f := i.join(ctx, flightKey{ref: ref})
	return i.await(ctx, flightKey{ref: ref}, f)
}

// pull fetches an image. progress is called now and then until it is there.
func (i *images) pull(ctx context.Context, ref string, as container.Credential, every time.Duration, progress func(have, total int64)) (container.Image, error) {
	key := flightKey{ref: ref, pull: true, as: as}
	f := i.join(ctx, key)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if total := f.total.Load(); total > 0 {
				progress(f.have.Load(), total)
			}
			continue
		case <-f.done:
		case <-ctx.Done():
		}
		return i.await(ctx, key, f)
	}
}

// forget makes the next question go to the engine.
func (i *images) forget(ref string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.known, ref)
}

// join enters the call that is under way, or makes it.
func (i *images) join(ctx context.Context, key flightKey) *flight {
	i.mu.Lock()
	defer i.mu.Unlock()
	if f := i.flights[key]; f != nil {
		f.waiters++
		return f
	}
	// The call belongs to all who wait for it, not to the first of them.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f := &flight{waiters: 1, cancel: cancel, done: make(chan struct{})}
	i.flights[key] = f
	i.tasks.Go(func() {
		defer cancel()
		image, err := i.call(ctx, key, f)
		i.land(key, f, image, err)
	})
	return f
}

func (i *images) call(ctx context.Context, key flightKey, f *flight) (container.Image, error) {
	if !key.pull {
		return i.engine.Image(ctx, key.ref)
	}
	return i.engine.Pull(ctx, key.ref, key.as, func(have, total int64) {
		f.have.Store(have)
		f.total.Store(total)
	})
}

func (i *images) land(key flightKey, f *flight, image container.Image, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.flights[key] == f {
		delete(i.flights, key)
	}
	switch {
	case err == nil:
		i.prune()
		i.known[key.ref] = knownImage{image: image, at: time.Now()}
	case errors.Is(err, container.ErrNotFound):
		delete(i.known, key.ref)
	}
	f.image, f.err = image, err
	close(f.done)
}

// prune forgets what is out of date. The lock is held.
func (i *images) prune() {
	for ref, k := range i.known {
		if time.Since(k.at) >= imageFresh {
			delete(i.known, ref)
		}
	}
}

// await waits for a call's answer and leaves it.
func (i *images) await(ctx context.Context, key flightKey, f *flight) (container.Image, error) {
	defer i.leave(key, f)
	select {
	case <-f.done:
		return f.image, f.err
	case <-ctx.Done():
		return container.Image{}, ctx.Err()
	}
}

func (i *images) leave(key flightKey, f *flight) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f.waiters--
	if f.waiters > 0 {
		return
	}
	f.cancel()
	if i.flights[key] == f {
		delete(i.flights, key) // whoever comes now must not join a call that was cut short
	}
}
