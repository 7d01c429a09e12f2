package pool

import (
	"container/list"
	"context"
	"fmt"
	"net/netip"
	"time"
)

type waiter struct {
	claim   *Claim // its backend is set when it is served
	client  netip.Addr
	avoid   *Backend
	err     error
	settled chan struct{} // closed once the claim is served or err is set
}

// longestHold bounds the wait for what cannot begin before another has ended.
const longestHold = 5 * time.Minute

// wait returns when the waiter has its claim, or the reason why it has none.
func (p *Pool) wait(w *waiter, element *list.Element) error {
	c, start := w.claim, time.Now()
	gaveUp := p.await(w)
	waited := time.Since(start)
	if gaveUp == nil {
		p.countHeld(c, waited)
		return w.err
	}

	p.mu.Lock()
	select {
	case <-w.settled: // at the same moment
		p.mu.Unlock()
		p.countHeld(c, waited)
		if w.err == nil && c.asked.Err() != nil {
			c.Release()
			return gaveUp
		}
		return w.err
	default:
	}
	p.waiting.Remove(element)
	p.nobody.held.record(waited)
	if u, ok := gaveUp.(*UnavailableError); ok {
		u.Reason = fmt.Sprintf("nothing became ready within %s (%s)", time.Since(c.since).Round(10*time.Millisecond), p.expected.Reason)
	}
	p.mu.Unlock()
	return gaveUp
}

// await returns once the waiter is settled, or why that is not awaited any longer.
func (p *Pool) await(w *waiter) error {
	timer := time.NewTimer(p.patience(w.claim))
	defer timer.Stop()
	for {
		select {
		case <-w.settled:
			return nil
		case <-w.claim.asked.Done():
			return context.Cause(w.claim.asked)
		case <-timer.C:
			more := p.patience(w.claim)
			if more == 0 {
				return &UnavailableError{Coming: true}
			}
			timer.Reset(more)
		}
	}
}

// patience is how long a claim waits yet, if nothing changes. While one is still to
// go whose place the next one takes, as with a Deployment of strategy Recreate, the
// next one cannot begin.
func (p *Pool) patience(c *Claim) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	until := later(c.since, p.vacatedBy(now)).Add(p.options.Hold)
	if last := c.since.Add(max(longestHold, p.options.Hold)); until.After(last) {
		until = last
	}
	return max(0, until.Sub(now))
}

func (p *Pool) countHeld(c *Claim, waited time.Duration) {
	of := p.nobody
	if c.backend != nil {
		of = c.backend.revision
	}
	of.held.record(waited)
}

// Below: mu is held.

// expect notes what is expected from now on.
func (p *Pool) expect(e Expectation) {
	p.vacated, p.expected = p.vacatedBy(time.Now()), e
}

// vacatedBy is when, up to now, the last of those had gone that were to leave.
func (p *Pool) vacatedBy(now time.Time) time.Time {
	if leaving := p.expected.Leaving; leaving.Before(now) {
		return later(p.vacated, leaving)
	}
	return now
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (p *Pool) queue(w *waiter) (*list.Element, error) {
	if err := p.hopeless(time.Now()); err != nil {
		return nil, err
	}
	if p.waiting.Len() >= p.options.MaxWaiting {
		return nil, &UnavailableError{
			Reason: fmt.Sprintf("%d requests wait already (%s)", p.options.MaxWaiting, p.expected.Reason),
			Coming: true,
		}
	}
	return p.waiting.PushBack(w), nil
}

// serveWaiting gives every waiter a back end, if there is any.
func (p *Pool) serveWaiting() {
	for e := p.waiting.Front(); e != nil && len(p.usable) > 0; e = p.waiting.Front() {
		w := p.waiting.Remove(e).(*waiter)
		p.grant(p.choose(w.client, w.avoid), w.claim)
		close(w.settled)
	}
}

// failHopeless ends all waiting when there is nothing to wait for any more.
func (p *Pool) failHopeless() {
	if p.waiting.Len() == 0 || len(p.usable) > 0 {
		return
	}
	err := p.hopeless(time.Now())
	if err == nil {
		return
	}
	for e := p.waiting.Front(); e != nil; e = p.waiting.Front() {
		w := p.waiting.Remove(e).(*waiter)
		w.err = err
		close(w.settled)
	}
}

// hopeless is nil while it is worth waiting for a back end.
func (p *Pool) hopeless(now time.Time) *UnavailableError {
	if p.closed || !p.expected.Coming {
		err := &UnavailableError{Reason: p.expected.Reason}
		for _, b := range p.members {
			if b.ejected && now.Sub(b.refusedSince) < refusedPatience {
				return nil
			}
			err.Reason = "back end " + b.address + " refuses connections"
		}
		return err
	}
	return nil
}
