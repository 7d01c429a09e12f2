package node

import (
	"context"
	"errors"
	"time"

	"skiff/orchestrator/resource"
	"skiff/runtime/container"
)

// A Pod whose one container owns the network gets a sandbox when the machine has
// nothing else to do. That stands by, off the network, until the container ends;
// then it takes the Pod's address over, in half the time of a start, and all
// attempts to come join it.

const (
	// steady is how long a container must have run before a sandbox stands by:
	// what comes and goes need not pay for one.
	steady = 10 * time.Second
	// crowd is with how many Pods sandboxes still stand by: each costs the engine's
	// machine some 6 MB, most of it the engine's own.
	crowd = 32
	// standbyDelay is how long a Pod does without after it could not have one.
	standbyDelay = 5 * time.Minute
)

var (
	errCrowd    = errors.New("too many Pods for a sandbox each")
	errAttached = errors.New("the engine has put a sandbox on the network that was to stand by")
)

// standsReady says whether a sandbox stands by that can take over.
func (s *state) standsReady() bool {
	u := s.standby
	return u != nil && u.running() && !u.suspect && u.cur.Detached && !u.cur.Paused
}

// dispensable is the ID of a sandbox that stands by a Pod which goes: it has nothing
// of the Pod's, so that its end need not be waited for. Empty if there is none, or if
// the Pod may be held for long.
func (s *state) dispensable() string {
	if s.standsReady() && len(s.pod.Finalizers) == 0 {
		return s.standby.cur.ID
	}
	return ""
}

// nextSandbox is the sandbox that the next attempt will join; nil if there is none.
func (s *state) nextSandbox() *unit {
	if s.standsReady() {
		return s.standby
	}
	return s.sandbox
}

// joins is the ID of the sandbox that the next attempt will join.
func (s *state) joins() string {
	if u := s.nextSandbox(); u != nil && u.cur != nil {
		return u.cur.ID
	}
	return ""
}

// standBy has a sandbox stand by for a container that runs well.
func (p *plan) standBy() {
	s, u := p.s, p.s.standby
	if u == nil {
		return
	}
	c := s.units[0]
	switch {
	case u.suspect:
		p.want(opInspect, u.name)
	case u.running() && !u.cur.Detached: // somebody has given it a network
		p.want(opRemoveOld, u.cur.ID)
	case !s.serving || !s.ready() || s.pod.Spec.HostNetwork:
		p.stop(opStandBy, "")
	case u.running() || p.nameTaken(u) || !resource.Restarts(s.spec(c.name), s.pod.Spec.RestartPolicy, 1):
	default:
		since := c.cur.StartedAt
		if u.cur != nil && u.cur.FinishedAt.After(since) {
			since = u.cur.FinishedAt
		}
		if at := since.Add(steady); p.now.Before(at) {
			p.wakeAt(at)
			return
		}
		p.want(opStandBy, "")
	}
}

// startStandby makes a sandbox and starts it off the network.
func (p *pod) startStandby(u *unit) task {
	spec := sandboxSpec(p.s, u)
	return func(ctx context.Context) (func(), error) {
		leave, err := p.turns.leisure(ctx)
		if err != nil {
			return nil, err
		}
		defer leave()
		if p.crowded.Load() {
			return nil, delayed{errCrowd, standbyDelay}
		}
		made, err := p.launchSandbox(ctx, func(ctx context.Context) (*attempt, error) {
			made, err := p.create(ctx, spec)
			if err == nil && made.State == container.Created {
				err = p.Engine.Disconnect(ctx, made.ID)
			}
			return made, err
		})
		if err == nil {
			made.Status, err = p.Engine.Inspect(ctx, made.ID)
		}
		switch {
		case err == nil && made.Detached:
			return func() { p.started(u, made) }, nil
		case err == nil:
			return func() { p.s.old, u.next = append(p.s.old, made), made.Attempt+1 }, delayed{errAttached, standbyDelay}
		case ctx.Err() != nil || unavailable(err):
			return func() { p.s.stray = true }, err
		}
		p.log.Debug("no sandbox stands by", "error", err)
		return func() { p.s.stray = true }, delayed{err, standbyDelay}
	}
}
