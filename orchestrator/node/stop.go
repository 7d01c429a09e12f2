package node

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"skiff/runtime/container"
)

// leastGrace is what a container gets between SIGTERM and SIGKILL when drain
// and preStop have used up the grace period.
const leastGrace = 2 * time.Second

// lullShare is the part of what is left of the grace period that a leaving Pod
// may spend waiting until nothing is being started.
const lullShare = 4

// stop has a container run its preStop hook, if that is yet to come, and end.
func (p *pod) stop(u *unit) task {
	c, id := p.s.spec(u.name), u.cur.ID
	deadline, announce := p.announce(u)
	p.s.job(job{opStop, u.name}).deadline = deadline
	leaving, restarting := p.s.leaving(), p.s.mustGo(u)
	return func(ctx context.Context) (func(), error) {
		announce(ctx)
		if leaving {
			p.turns.lull(ctx, time.Until(deadline)/lullShare)
		}
		left := max(leastGrace, time.Until(deadline))
		if c == nil { // a sandbox has nothing to finish
			left = 0
		}
		err := p.Engine.Stop(ctx, id, left)
		if err != nil && !errors.Is(err, container.ErrNotFound) {
			return nil, err
		}
		return func() {
			p.stoppedUnit(u, id)
			if restarting && u.cur != nil && u.cur.ID == id {
				u.cur.Reason = reasonRestartingAll
			}
		}, nil
	}
}

// preStop has a sidecar run its preStop hook before it is its turn to end.
func (p *pod) preStop(u *unit) task {
	deadline, announce := p.announce(u)
	p.s.job(job{opPreStop, u.name}).deadline = deadline
	u.due = deadline
	return func(ctx context.Context) (func(), error) {
		announce(ctx)
		return nil, nil
	}
}

// announce says by when a container must have ended, and gives what comes before
// that: its event and its preStop hook, which are for the first who asks.
func (p *pod) announce(u *unit) (deadline time.Time, run func(context.Context)) {
	h := hook{pod: p.s.pod, container: p.s.spec(u.name), id: u.cur.ID, host: p.s.address}
	message, deadline := p.stopTerms(u)
	if !u.due.IsZero() && u.due.Before(deadline) { // what its hook has taken is not granted again
		deadline = u.due
	}
	first := h.container != nil && !u.announced && !u.down
	hooked := p.s.leaving() || !p.s.mustGo(u)
	u.announced = true
	return deadline, func(ctx context.Context) {
		if !first {
			return
		}
		p.events.normal(h.pod, u.name, reasonKilling, "%s", message)
		if hooked {
			p.runPreStop(ctx, h, deadline)
		}
	}
}

// stopTerms say why a container must end, and by when.
func (p *pod) stopTerms(u *unit) (message string, deadline time.Time) {
	after := time.Now().Add(time.Duration(grace(p.s.pod)) * time.Second)
	switch {
	case p.s.leaving():
		return "Stopping container " + u.name, p.s.deadline
	case p.s.mustGo(u):
		return "Container " + u.name + " will be restarted with all others", time.Now()
	case p.s.failure != nil && p.s.failure.hasty:
		return "Stopping container " + u.name, time.Now().Add(evictionGrace)
	case u.kill != nil:
		return u.kill.message, time.Now().Add(u.kill.grace)
	case p.s.finished():
		return "Stopping container " + u.name, after
	}
	return "Pod sandbox changed, it will be killed and re-created.", after
}

// stoppedUnit notes that a container has ended. How, is only asked where
// somebody will want to know.
func (p *pod) stoppedUnit(u *unit, id string) {
	if u.cur == nil || u.cur.ID != id || u.ended() {
		return
	}
	u.suspect, u.down = true, true
	if p.s.leaving() {
		u.cur.State = container.Exited
		u.cur.FinishedAt = time.Now()
	}
}

// sweep learns which containers the engine has of a Pod whose creations were
// cut short.
func (p *pod) sweep() task {
	return func(ctx context.Context) (func(), error) {
		list, err := p.Engine.List(ctx)
		if err != nil {
			return nil, err
		}
		return func() {
			p.s.stray, p.s.swept = false, true
			p.s.add(list)
		}, nil
	}
}

// remove takes away the containers of a Pod that is going, but for one that nobody
// waits for.
func (p *pod) remove() task {
	rest := p.s.dispensable()
	ids := slices.DeleteFunc(p.s.containers(), func(id string) bool { return id == rest })
	return func(ctx context.Context) (func(), error) {
		var group errgroup.Group
		for _, id := range ids {
			group.Go(func() error { return p.Engine.Remove(ctx, id) })
		}
		if err := group.Wait(); err != nil {
			return nil, err
		}
		return func() { p.s.removed, p.s.remnant = true, rest }, nil
	}
}

// removeOld takes away a container that a newer attempt has made useless.
func (p *pod) removeOld(id string) task {
	return func(ctx context.Context) (func(), error) {
		if err := p.Engine.Remove(ctx, id); err != nil {
			return nil, err
		}
		return func() {
			p.s.old = slices.DeleteFunc(p.s.old, func(o *attempt) bool { return o.ID == id })
			for _, u := range p.s.members() {
				if u.spare != nil && u.spare.ID == id {
					u.spare = nil
				}
			}
			if u := p.s.standby; u != nil && u.cur != nil && u.cur.ID == id {
				u.cur, u.course = nil, course{}
			}
			delete(p.s.jobs, job{opRemoveOld, id})
		}, nil
	}
}

func (p *pod) release() task {
	return func(context.Context) (func(), error) {
		p.addresses.Release(string(p.uid))
		return func() { p.s.released = true }, nil
	}
}

// expire fails a Pod that has been active for longer than it may.
func (p *pod) expire() task {
	pod := p.s.pod
	return func(context.Context) (func(), error) {
		const message = "Pod was active on the node longer than the specified deadline"
		p.events.normal(pod, "", reasonDeadline, message)
		return func() { p.s.failure = &failure{reason: reasonDeadline, message: message} }, nil
	}
}
