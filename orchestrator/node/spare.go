package node

import (
	"context"
	"time"

	"skiff/orchestrator/resource"
)

// When the one container of a Pod without a sandbox ends, the engine first takes
// the network namespace down that was its own, a third of the time of a start:
// the Pod's address is free, and the engine says how the container ended, only
// after that. Meanwhile the next attempt's container is made, in the sandbox that
// stands by if there is one.

// foresee has the next attempt's container made where it is certain that there
// will be one at once, however the last one ended.
func (p *plan) foresee(u *unit) {
	s, c, policy := p.s, p.s.spec(u.name), p.s.pod.Spec.RestartPolicy
	switch {
	case s.sandbox != nil || u.role != regular || !u.running() || !u.down || u.spare != nil || !s.mounted || p.nameTaken(u):
	case p.now.Before(u.crash.until(p.now)):
	case !resource.Restarts(c, policy, 0) || !resource.Restarts(c, policy, 1):
	case u.image == nil:
		p.want(opImage, u.name)
	default:
		p.want(opSpare, u.name)
	}
}

// makeSpare makes the next attempt's container ahead. If that fails, the start
// will tell.
func (p *pod) makeSpare(u *unit) task {
	specify, image := p.specify(u, p.s.nextSandbox()), *u.image
	return func(ctx context.Context) (func(), error) {
		spec, err := specify(ctx)
		if err != nil {
			return nil, nil
		}
		user := p.user(ctx, spec, image)
		made, err := p.create(ctx, spec)
		known := user()
		if err != nil {
			p.log.Debug("the next container is not made ahead", "container", spec.Name, "error", err)
			return func() { p.s.stray = true }, nil
		}
		made.User = known
		return func() { u.spare = made }, nil
	}
}

// awaits says whether the container that was made ahead will be of use.
func (s *state) awaits(u *unit, now time.Time) bool {
	switch {
	case s.busy(opStart, u.name):
		return true
	case u.spare.Sandbox != s.joins() || s.leaving() || s.finished() || u.spare.Round != s.round || s.busy(opRemoveOld, u.spare.ID) || u.spare.Hash != hash(s.spec(u.name)):
		return false
	}
	return u.suspect || u.ended() && s.restarts(u) && !now.Before(s.retryAt(u))
}

// tidy removes the containers that nobody needs any more, and says whether that
// goes on. One that cannot be removed is tried again, and waited for by nobody.
func (p *plan) tidy() (going bool) {
	remove := func(id string) {
		p.want(opRemoveOld, id)
		js := p.s.jobs[job{opRemoveOld, id}]
		going = going || js == nil || js.failures == 0
	}
	for _, a := range p.s.old {
		if u := p.s.unit(a.Name); u == nil || !p.s.isNext(a, u) || !p.s.busy(opStart, u.name) {
			remove(a.ID)
		}
	}
	for _, u := range p.s.members() {
		if u.spare != nil && !p.s.awaits(u, p.now) {
			remove(u.spare.ID)
		}
	}
	return going
}
