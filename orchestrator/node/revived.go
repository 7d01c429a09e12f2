package node

import (
	"context"
	"errors"
	"time"

	"skiff/runtime/container"
)

// Somebody may start a container again that has ended ("docker start", "docker
// restart"). Where one is to run anyway, that was its restart. Where not, since its
// work is done or the next attempt is there, it is ended again, and the API goes on
// saying of it what it said.

// revived takes note that somebody else has started an attempt again that had ended.
func (p *pod) revived(u *unit, a *attempt) {
	a.Revived = true
	switch {
	case a == u.cur:
		u.suspect = u.suspect || p.s.restarts(u)
	case u.cur.failedToStart() && !p.s.busy(opStart, u.name):
		p.reclaim(u, a, u.cur)
	default:
		u.disturbed = true
		u.excused = u.excused || u.down
	}
}

// reclaim makes what somebody has started the container of the Pod again, for its
// successor could not be started: in its way was, most likely, the address that the
// Pod has once.
func (p *pod) reclaim(u *unit, a, successor *attempt) {
	p.s.old = append(p.s.old, successor)
	if u.last == a {
		u.last = nil
		if u.cur != successor {
			p.s.old = append(p.s.old, u.cur)
		}
	}
	u.cur, u.next = a, successor.Attempt+1
	u.image, u.wait, u.kill, u.spare = nil, nil, nil, nil
	u.course = course{hooked: true, suspect: true} // postStart has run, or would be run twice
}

// revival finds the attempt that somebody else has started again; nil if there is
// none.
func (u *unit) revival() *attempt {
	for _, a := range [...]*attempt{u.cur, u.last} {
		if a != nil && a.Revived {
			return a
		}
	}
	return nil
}

// quell ends again what should not run any more, and says whether that goes on.
func (p *plan) quell() (going bool) {
	for _, u := range p.s.members() {
		a := u.revival()
		if a == nil || p.s.busy(opStart, u.name) || a == u.cur && u.suspect {
			continue
		}
		going = true
		p.want(opQuell, a.ID)
		p.hasten(opQuell, a.ID)
	}
	return going
}

func (p *pod) quell(id string) task {
	deadline := time.Now().Add(time.Duration(grace(p.s.pod)) * time.Second)
	if p.s.leaving() {
		deadline = p.s.deadline
	}
	p.s.job(job{opQuell, id}).deadline = deadline
	return func(ctx context.Context) (func(), error) {
		left := max(leastGrace, time.Until(deadline))
		if err := p.Engine.Stop(ctx, id, left); err != nil && !errors.Is(err, container.ErrNotFound) {
			return nil, err
		}
		return func() {
			for _, u := range p.s.members() {
				if a := u.revival(); a != nil && a.ID == id {
					a.Revived = false
				}
			}
			delete(p.s.jobs, job{opQuell, id})
		}, nil
	}
}
