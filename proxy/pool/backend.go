package pool

import (
	"context"
	"iter"
	"sync"
	"sync/atomic"
	"time"
)

const (
	firstRedial   = 10 * time.Millisecond
	longestRedial = time.Second
	redialTimeout = time.Second

	// refusedPatience is how long a back end that refuses connections counts
	// as one that is about to listen. Applications without a readiness probe
	// are called ready before their port is open.
	refusedPatience = 10 * time.Second
)

// Upstream is what a data path keeps for one back end, its idle connections
// above all.
type Upstream interface {
	// CloseIdle closes the connections that carry nothing. Requests go on.
	CloseIdle()
	// Close closes every connection.
	Close()
}

// Backend is one stay of a member in a pool. A member that leaves and comes
// back is another Backend, with connections of its own.
type Backend struct {
	id      string
	address string
	pool    *Pool

	revision         *revision
	requests, failed atomic.Uint64

	upstreamMu sync.Mutex
	upstream   Upstream

	// Guarded by pool.mu.
	first        *Claim // of a list, so that a claim allocates nothing else
	inFlight     int    // how many are on it
	streams      int    // of those
	ejected      bool
	refusedSince time.Time
	stopRedial   context.CancelFunc
	left         bool
	out          chan struct{} // closed when it leaves
	streamsOver  bool          // the drain's deadline for streams has passed
	empty        chan struct{} // made when it leaves, closed at its end

	finish sync.Once
}

// ID is the member's identity.
func (b *Backend) ID() string { return b.id }

// Address is where it listens.
func (b *Backend) Address() string { return b.address }

// Out is closed when it is taken out of its pool. What is in flight may go on.
func (b *Backend) Out() <-chan struct{} { return b.out }

// Upstream gives what was opened for the back end, opening it the first time.
func (b *Backend) Upstream(open func() Upstream) Upstream {
	b.upstreamMu.Lock()
	defer b.upstreamMu.Unlock()
	if b.upstream == nil {
		b.upstream = open()
	}
	return b.upstream
}

func (b *Backend) opened() Upstream {
	b.upstreamMu.Lock()
	defer b.upstreamMu.Unlock()
	return b.upstream
}

// depart closes what a back end that was taken out does not need any more.
func (b *Backend) depart() {
	b.pool.mu.Lock()
	unclaimed := b.inFlight == 0
	b.pool.mu.Unlock()
	if unclaimed {
		b.finish.Do(b.end)
	} else if u := b.opened(); u != nil {
		u.CloseIdle()
	}
}

// end comes after the last claim. Whoever waits for it may stop the
// application next, so every connection is closed first.
func (b *Backend) end() {
	b.closeAll()
	b.pool.mu.Lock()
	defer b.pool.mu.Unlock()
	delete(b.pool.leaving, b)
	b.revision.backends--
	close(b.empty)
}

func (b *Backend) closeAll() {
	if u := b.opened(); u != nil {
		u.Close()
	}
}

// eject stops picking a back end that refused a connection, and looks in the
// background for it to take them again. The look outlives the request that
// found out, hence the detached context; it ends when the back end leaves.
func (p *Pool) eject(ctx context.Context, b *Backend) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b.left || b.ejected || p.closed {
		return
	}
	b.ejected = true
	b.refusedSince = time.Now()
	for i, u := range p.usable {
		if u == b {
			p.usable = append(p.usable[:i], p.usable[i+1:]...)
			break
		}
	}
	ctx, b.stopRedial = context.WithCancel(context.WithoutCancel(ctx))
	p.redials.Go(func() { p.redial(ctx, b) })
}

func (p *Pool) redial(ctx context.Context, b *Backend) {
	timer := time.NewTimer(firstRedial)
	defer timer.Stop()
	for delay := firstRedial; ; delay = min(2*delay, longestRedial) {
		timer.Reset(delay)
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if p.answers(ctx, b.address) {
			p.mu.Lock()
			if ctx.Err() == nil {
				p.restore(b)
				p.serveWaiting()
			}
			p.mu.Unlock()
			return
		}
		p.mu.Lock()
		p.failHopeless()
		p.mu.Unlock()
	}
}

func (p *Pool) answers(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, redialTimeout)
	defer cancel()
	conn, err := p.options.Dial(ctx, "tcp", address)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// Below: mu is held.

// restore makes an ejected back end usable again.
func (p *Pool) restore(b *Backend) {
	if b.left || !b.ejected {
		return
	}
	b.stopRedial()
	b.stopRedial = nil
	b.ejected = false
	p.usable = append(p.usable, b)
}

func (b *Backend) link(c *Claim) {
	if c.next = b.first; c.next != nil {
		c.next.previous = c
	}
	b.first = c
	b.inFlight++
}

func (b *Backend) unlink(c *Claim) {
	if c.next != nil {
		c.next.previous = c.previous
	}
	if c.previous != nil {
		c.previous.next = c.next
	} else {
		b.first = c.next
	}
	c.next, c.previous = nil, nil
	b.inFlight--
}

func (b *Backend) claims() iter.Seq[*Claim] {
	return func(yield func(*Claim) bool) {
		for c := b.first; c != nil; c = c.next {
			if !yield(c) {
				return
			}
		}
	}
}
