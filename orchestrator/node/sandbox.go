package node

import (
	"context"
	"slices"
	"time"

	"skiff/runtime/container"
)

// A Pod whose one container owns the network starts without a sandbox, in half
// the time. It gets one for the next attempt, and all after that: the one that
// stands by, or else one that is made while the attempt has to wait.

// leastWait is how long a container must have to wait for a sandbox to be ready
// before it.
const leastWait = 2 * time.Second

// deservesSandbox says whether a Pod without a sandbox should get one now: the
// address is free as the container has ended, or has never been.
func (s *state) deservesSandbox(now time.Time) bool {
	if s.sandbox != nil || s.pod.Spec.HostNetwork || !s.mounted || !s.address.IsValid() {
		return false
	}
	u := s.units[0]
	if u.running() || u.suspect || s.busy(opStart, u.name) || u.revival() != nil || u.ended() && !s.restarts(u) {
		return false
	}
	if u.cur == nil { // what keeps it from being made is no reason for the Pod to have no network
		return s.awaited() || u.wait != nil && u.wait.reason != reasonCreateError
	}
	return s.standsReady() || s.retryAt(u).Sub(now) >= leastWait
}

// haveSandbox has the Pod need a sandbox from now on: the one that stands by, if it
// is fit for that.
func (p *pod) haveSandbox() task {
	return func(context.Context) (func(), error) {
		return func() {
			if u := p.s.standby; u != nil && u.running() && !p.s.standsReady() {
				p.s.giveUp(u, u.cur.ID)
			}
			p.s.useSandbox()
		}, nil
	}
}

func (s *state) useSandbox() {
	if s.sandbox == nil {
		s.sandbox, s.standby = s.standby, nil
	}
}

// needsSandbox says whether the Pod cannot be without one.
func (s *state) needsSandbox() bool {
	return len(s.inits)+len(s.units) > 1 || inMemory(s.pod) || isTrue(s.pod.Spec.ShareProcessNamespace)
}

// superfluous says whether the sandbox came too late: meanwhile somebody has started
// the container again, which has the Pod's address.
func (s *state) superfluous() bool {
	box, u := s.sandbox.cur, s.units[0]
	return (box == nil || box.Detached) && !s.needsSandbox() && u.running() && !u.suspect && u.cur.Sandbox == ""
}

// haveNoSandbox has the Pod do without the sandbox that could not be started, or
// have it stand by.
func (p *pod) haveNoSandbox() task {
	return func(context.Context) (func(), error) {
		return func() {
			if p.s.sandbox != nil {
				p.s.sandbox, p.s.standby, p.s.stray = nil, p.s.sandbox, true
			}
		}, nil
	}
}

// meetSandbox takes note of a sandbox that is in use since an earlier run.
func (s *state) meetSandbox(found []container.Status) {
	if slices.ContainsFunc(found, func(st container.Status) bool {
		inUse := func(other container.Status) bool { return other.Sandbox == st.ID }
		return st.Name == container.SandboxName && (st.State == container.Running && !st.Detached || slices.ContainsFunc(found, inUse))
	}) {
		s.useSandbox()
	}
}

// joined says whether a container of the Pod has joined a sandbox.
func (s *state) joined(sandbox string) bool {
	return slices.ContainsFunc(s.members(), func(u *unit) bool { return u.cur != nil && u.cur.Sandbox == sandbox })
}

// giveUp has the next sandbox be made in place of one that cannot be used.
func (s *state) giveUp(u *unit, id string) {
	if u.cur != nil && u.cur.ID == id {
		s.old = append(s.old, u.cur)
		u.cur, u.course = nil, course{}
	}
}
