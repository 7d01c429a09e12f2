package node

import (
	"context"
	"slices"
	"time"

	"skiff/runtime/container"
)

// A Pod whose one container owns the network starts without a sandbox, in half
// the time. When that container has to wait for its next attempt, the sandbox is
// made in the meantime: the attempt then joins what stands already, and so does
// each one after it.

// leastWait is how long a container must have to wait for a sandbox to be ready
// before it.
const leastWait = 2 * time.Second

// deservesSandbox says whether a Pod without a sandbox should get one now. The
// Pod's address is free as nothing of it runs.
func (s *state) deservesSandbox(now time.Time) bool {
	if s.sandbox != nil || s.pod.Spec.HostNetwork || !s.mounted || !s.address.IsValid() {
		return false
	}
	for _, u := range s.members() {
		if u.running() || s.busy(opStart, u.name) {
			return false
		}
	}
	u := s.units[0]
	return u.ended() && !u.suspect && s.restarts(u) && s.retryAt(u).Sub(now) >= leastWait
}

// haveSandbox has the Pod need a sandbox from now on.
func (p *pod) haveSandbox() task {
	return func(context.Context) (func(), error) {
		return func() { p.s.sandbox = &unit{name: container.SandboxName} }, nil
	}
}

// needsSandbox says whether the Pod cannot be without one.
func (s *state) needsSandbox() bool {
	return len(s.inits)+len(s.units) > 1 || inMemory(s.pod) || isTrue(s.pod.Spec.ShareProcessNamespace)
}

// superfluous says whether the sandbox came too late: meanwhile somebody has started
// the container again, which has the Pod's address.
func (s *state) superfluous() bool {
	u := s.units[0]
	return s.sandbox.cur == nil && !s.needsSandbox() && u.running() && !u.suspect && u.cur.Sandbox == ""
}

// haveNoSandbox has the Pod do without the sandbox that could not be started.
func (p *pod) haveNoSandbox() task {
	return func(context.Context) (func(), error) {
		return func() { p.s.sandbox, p.s.stray = nil, true }, nil
	}
}

// meetSandbox takes note of a sandbox that an earlier run has made.
func (s *state) meetSandbox(found []container.Status) {
	if s.sandbox == nil && slices.ContainsFunc(found, func(st container.Status) bool {
		return st.Name == container.SandboxName && st.State != container.Created
	}) {
		s.sandbox = &unit{name: container.SandboxName}
	}
}
