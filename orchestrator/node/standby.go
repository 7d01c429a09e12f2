package node

import (
	"context"
	"errors"
	"slices"
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
	// mostStandingBy is from how many Pods on no more sandboxes stand by: each
	// costs the engine's machine some 6 MB, most of it the engine's own.
	mostStandingBy = 32
	// standbyDelay is how long a Pod does without after it could not have one.
	standbyDelay = 5 * time.Minute
)

var (
	errCrowded  = errors.New("too many Pods for a sandbox each")
	errAttached = errors.New("the engine has put a sandbox on the network that was to stand by")
)

// standsBy says whether a sandbox stands by that the next attempt can join. It is
// not waited for ephemeral containers to leave the network that the last one had.
func (s *state) standsBy() bool {
	u := s.standby
	if u == nil || !u.running() || u.suspect || !u.cur.Detached || u.cur.Paused {
		return false
	}
	return !slices.ContainsFunc(s.ephemerals, func(u *unit) bool { return u.running() || s.busy(opStart, u.name) })
}

// standsIdly says whether the sandbox that stands by is of no use any more.
func (s *state) standsIdly() bool {
	u := s.standby
	return u != nil && u.running() && !u.suspect && (s.leaving() || s.finished() || !u.cur.Detached)
}

// joins is the ID of the sandbox that the next attempt joins, or will be able to.
func (s *state) joins() string {
	switch {
	case s.sandbox != nil && s.sandbox.cur != nil:
		return s.sandbox.cur.ID
	case s.standsBy():
		return s.standby.cur.ID
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
	case !s.serving || !s.ready() || s.pod.Spec.HostNetwork:
		p.stop(opStart, u.name)
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
		p.want(opStart, u.name)
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
		if p.crowd.Load() > mostStandingBy {
			return nil, delayed{errCrowded, standbyDelay}
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
		case ctx.Err() != nil || unavailable(err):
			return func() { p.s.stray = true }, err
		case err != nil:
			p.log.Debug("no sandbox stands by", "error", err)
			return func() { p.s.stray = true }, delayed{err, standbyDelay}
		case !made.Detached:
			return func() {
				p.s.old, u.next = append(p.s.old, made), made.Attempt+1
			}, delayed{errAttached, standbyDelay}
		}
		return func() { p.started(u, made) }, nil
	}
}
