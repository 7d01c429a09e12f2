package pool

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// cutPatience bounds the wait for what was cut at a deadline to say goodbye.
const cutPatience = 4 * time.Second

// Drain is Remove for good, and then waits until nothing of the back end's is
// in flight. Streams are let go at moments of rest, and cut after streams;
// requests are cut when ctx ends. The error is about claims that did not even
// end when they were cut.
func (p *Pool) Drain(ctx context.Context, id string, streams time.Duration) error {
	p.Retire(id)
	return p.Empty(ctx, id, streams)
}

// Retire is Remove for good.
func (p *Pool) Retire(id string) {
	p.mu.Lock()
	defer p.unlock()
	p.drained.add(id)
	p.takeOut(id)
	p.failHopeless()
}

// Readmit lets those come back that have left for good.
func (p *Pool) Readmit() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drained = recent{}
}

// Empty waits like Drain for what is left in flight of a member that was taken
// out. If the member is back meanwhile, that is left alone.
func (p *Pool) Empty(ctx context.Context, id string, streams time.Duration) error {
	var all sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for _, b := range p.departing(id) {
		all.Go(func() {
			if err := p.settle(ctx, b, streams); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed = err
			}
		})
	}
	all.Wait()
	return failed
}

// InFlight counts the claims on a member, those from before it left included.
func (p *Pool) InFlight(id string) int {
	n := 0
	for _, b := range p.departing(id) {
		n += len(p.claims(b))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if b := p.members[id]; b != nil {
		n += b.inFlight
	}
	return n
}

func (p *Pool) departing(id string) []*Backend {
	p.mu.Lock()
	defer p.mu.Unlock()
	var left []*Backend
	for b := range p.leaving {
		if b.id == id {
			left = append(left, b)
		}
	}
	return left
}

func (p *Pool) settle(ctx context.Context, b *Backend, streams time.Duration) error {
	start := time.Now()
	deadline := time.NewTimer(streams)
	defer deadline.Stop()
	look := time.NewTimer(0)
	defer look.Stop()
	parting := newParting(streams)
	defer parting.resume()
	for {
		select {
		case <-b.empty:
			return nil
		case <-look.C:
			look.Reset(parting.step(p.claims(b), time.Since(start)))
		case <-deadline.C:
			look.Stop()
			p.endStreams(b)
			parting.resume() // what was held back is not carried out any more
		case <-ctx.Done():
			p.endStreams(b)
			parting.resume()
			p.cut(b, ErrRequestCut, func(*Claim) bool { return true })
			return p.awaitCut(b)
		}
	}
}

func (p *Pool) claims(b *Backend) []*Claim {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Collect(b.claims())
}

// endStreams cuts the streams, and those that claims may still turn into.
func (p *Pool) endStreams(b *Backend) {
	p.mu.Lock()
	b.streamsOver = true
	p.mu.Unlock()
	p.cut(b, ErrStreamCut, func(c *Claim) bool { return c.stream })
}

func (p *Pool) cut(b *Backend, cause error, which func(*Claim) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range b.claims() {
		if which(c) {
			c.cut(cause)
		}
	}
}

func (p *Pool) awaitCut(b *Backend) error {
	timer := time.NewTimer(cutPatience)
	defer timer.Stop()
	select {
	case <-b.empty:
		return nil
	case <-timer.C:
		b.closeAll()
		return fmt.Errorf("drain back end %s: %d claims did not end when they were cut", b.address, len(p.claims(b)))
	}
}

// Settled waits until nothing is in flight any more of what was taken out, or
// ctx ends.
func (p *Pool) Settled(ctx context.Context) {
	p.mu.Lock()
	var empty []chan struct{}
	for b := range p.leaving {
		empty = append(empty, b.empty)
	}
	p.mu.Unlock()
	for _, e := range empty {
		select {
		case <-e:
		case <-ctx.Done():
			return
		}
	}
}
