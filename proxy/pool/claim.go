package pool

import (
	"context"
	"net/netip"
	"sync/atomic"
	"time"
)

// Claim is one request's, or one connection's, hold on a back end. It ends
// with Release.
type Claim struct {
	backend *Backend
	since   time.Time       // when the claim was first asked for, retries included
	asked   context.Context // of whoever asked
	retried bool            // it is not the request's first
	counted bool            // whoever asked has said how the request ended
	ending  atomic.Int32    // how a stream ends

	// Guarded by backend.pool.mu.
	next, previous *Claim // on the same back end
	stream         bool
	kind           Stream
	resting        Resting
	released       bool
	cause          error // why it was cut, or nil
	onCut          func(cause error)
	ctx            context.Context // made when it is first asked for
	cancel         context.CancelCauseFunc
}

// Claim takes a back end for a request or a connection. While there is none
// but one is expected, it waits, up to the pool's limits; otherwise the error
// is an *UnavailableError, or that of ctx. previous is the released claim of an
// attempt of the same request that failed, or nil: its back end is passed over
// if there is another, and its time of waiting counts.
func (p *Pool) Claim(ctx context.Context, previous *Claim) (*Claim, error) {
	return p.ClaimFor(ctx, netip.Addr{}, previous)
}

// ClaimFor is Claim for a client whose address counts where clients stick to
// their back ends.
func (p *Pool) ClaimFor(ctx context.Context, client netip.Addr, previous *Claim) (*Claim, error) {
	c := &Claim{since: time.Now(), asked: ctx}
	var avoid *Backend
	if previous != nil {
		c.since, c.retried, avoid = previous.since, true, previous.backend
		if !previous.retried {
			avoid.revision.retried.Add(1)
		}
	}

	p.mu.Lock()
	if b := p.choose(client, avoid); b != nil {
		p.grant(b, c)
		p.mu.Unlock()
		return c, nil
	}
	w := &waiter{claim: c, client: client, avoid: avoid, settled: make(chan struct{})}
	element, err := p.queue(w)
	p.mu.Unlock()
	if err == nil {
		err = p.wait(w, element)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Resume takes a back end, where it can be had now, for what another process
// has begun with it, and has counted.
func (p *Pool) Resume(ctx context.Context, id string) (*Claim, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.members[id]
	if b == nil || b.ejected {
		return nil, &UnavailableError{Reason: "back end " + id + " is not there any more"}
	}
	c := &Claim{since: time.Now(), asked: ctx, counted: true}
	p.grant(b, c)
	return c, nil
}

// Below: mu is held.

func (p *Pool) grant(b *Backend, c *Claim) {
	c.backend = b
	b.link(c)
}

// Backend is what was claimed.
func (c *Claim) Backend() *Backend { return c.backend }

// Context ends with the request's own, with Release, and, with ErrStreamCut or
// ErrRequestCut as its cause, when a drain's deadline has come.
func (c *Claim) Context() context.Context {
	p := c.backend.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.ctx == nil {
		c.ctx, c.cancel = context.WithCancelCause(c.asked)
		if c.cause != nil || c.released {
			c.cancel(c.cause)
		}
	}
	return c.ctx
}

// OnCut is for those who need no context: act is called once a drain's deadline
// has come, and never after Release has returned. The pool is locked meanwhile,
// so it must not wait for anything.
func (c *Claim) OnCut(act func(cause error)) {
	p := c.backend.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	c.onCut = act
	if c.cause != nil {
		act(c.cause)
	}
}

// Stream says that the claim is no request that ends by itself but a stream of
// some kind: a drain lets it live until the deadline for those. resting, which may be nil, lets a
// drain close it earlier, at a moment when nothing is under way.
func (c *Claim) Stream(kind Stream, resting Resting) {
	p := c.backend.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	c.stream, c.kind, c.resting = true, kind, resting
	c.backend.streams++
	if c.backend.streamsOver {
		c.cut(ErrStreamCut)
	}
}

// Unreachable says that the back end could not be connected to: it is not
// picked again until it takes connections or is added again.
func (c *Claim) Unreachable() {
	c.backend.pool.eject(c.asked, c.backend)
}

// Release ends the claim. Releasing it again does nothing.
func (c *Claim) Release() {
	b := c.backend
	p := b.pool
	p.mu.Lock()
	if c.released {
		p.mu.Unlock()
		return
	}
	c.released = true
	cancel := c.cancel
	b.unlink(c)
	if c.stream {
		b.streams--
		c.countStream()
	}
	last := b.left && b.inFlight == 0
	p.mu.Unlock()
	if cancel != nil {
		cancel(nil)
	}
	if last {
		b.finish.Do(b.end)
	}
}

// end is cut for whoever does not hold mu.
func (c *Claim) end(cause error) {
	p := c.backend.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if !c.released {
		c.cut(cause)
	}
}

// cut ends the claim at a drain's deadline; mu is held.
func (c *Claim) cut(cause error) {
	if c.cause != nil || c.asked.Err() != nil {
		return
	}
	c.backend.pool.cutAtDrain.Add(1)
	c.cause = cause
	if c.cancel != nil {
		c.cancel(cause)
	}
	if c.onCut != nil {
		c.onCut(cause)
	}
}
