package node

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// plan is what to do next for a Pod: jobs to begin, running jobs to cut short,
// and when to decide again if nothing happens before.
type plan struct {
	s   *state
	now time.Time

	begin  []job
	cancel []job
	wake   time.Time
	quiet  bool // skiff goes down and the Pod has nothing left to do
	over   bool // nothing is left of the Pod
}

// decide says what a Pod needs, from what is known about it.
func decide(s *state, now time.Time) *plan {
	p := &plan{s: s, now: now}
	switch {
	case s.vanished:
		p.vanish()
	case s.leaving():
		p.leave()
	default:
		p.live()
	}
	return p
}

// want begins a job unless it runs already or must wait after a failure.
func (p *plan) want(o op, name string) {
	if p.s.held(o) {
		return
	}
	j := job{o, name}
	js := p.s.jobs[j]
	switch {
	case js == nil:
		p.begin = append(p.begin, j)
	case js.busy:
	case p.now.Before(js.retry):
		p.wakeAt(js.retry)
	default:
		p.begin = append(p.begin, j)
	}
}

// stop cuts a running job short.
func (p *plan) stop(o op, name string) {
	j := job{o, name}
	if js := p.s.jobs[j]; js != nil && js.busy && !js.cancelled {
		p.cancel = append(p.cancel, j)
	}
}

func (p *plan) wakeAt(t time.Time) {
	if p.wake.IsZero() || t.Before(p.wake) {
		p.wake = t
	}
}

// live keeps a Pod running.
func (p *plan) live() {
	s := p.s
	if s.hold != nil {
		return
	}
	if !s.bound {
		p.want(opBind, "")
	}
	p.traffic()
	p.tidy()
	if s.finished() {
		p.rest()
		return
	}
	p.quell()
	p.watchDeadline()
	if !s.address.IsValid() {
		p.want(opLease, "")
	}
	p.volumes()
	p.limits()
	p.standBy()
	moving := s.deservesSandbox(p.now)
	if moving {
		p.want(opSandbox, "")
	}
	placed := p.initialize(s.mounted && s.address.IsValid() && !moving && p.network() && !s.restartingAll())
	for _, u := range s.units {
		p.unit(u, placed)
		placed = placed && !s.detains(u)
	}
	for _, u := range s.ephemerals {
		p.unit(u, s.joinable(u))
	}
	if s.restartingAll() {
		p.endRound()
	}
}

// watchDeadline fails a Pod that has been active for longer than it may.
func (p *plan) watchDeadline() {
	start, limit := p.s.reported.StartTime, p.s.pod.Spec.ActiveDeadlineSeconds
	if start == nil || limit == nil {
		return
	}
	if at := start.Add(time.Duration(*limit) * time.Second); p.now.Before(at) {
		p.wakeAt(at)
		return
	}
	p.want(opExpire, "")
}

// rest ends what still runs of a Pod whose work is over. Its containers and its
// object stay.
func (p *plan) rest() {
	s := p.s
	p.abandon()
	known := p.inspectAll()
	switch {
	case p.starting() || !known || s.admitted:
	case s.stray:
		p.want(opSweep, "")
	default:
		p.end()
	}
}

// traffic keeps a Pod in the pools for exactly as long as it is ready.
func (p *plan) traffic() {
	s := p.s
	switch {
	case s.ready() && !s.serving:
		if !s.busy(opRemoveTraffic, "") {
			p.want(opAdd, "")
		}
	case !s.ready() && s.admitted:
		p.stop(opAdd, "")
		if !s.busy(opAdd, "") {
			p.want(opRemoveTraffic, "")
		}
	}
}

// network keeps the sandbox running, where there is one, and says whether
// containers can start.
func (p *plan) network() bool {
	s, u := p.s, p.s.sandbox
	switch {
	case u == nil:
		return true
	case s.busy(opStart, u.name) || s.busy(opStop, u.name):
		return false
	case s.busy(opStandBy, ""): // of the same name
		p.stop(opStandBy, "")
		return false
	case u.suspect:
		p.want(opInspect, u.name)
		return false
	case s.superfluous():
		if !s.busy(opReconnect, u.name) {
			p.want(opNoSandbox, "")
		}
		return false
	case u.running():
		p.mend(u)
		return !u.cur.Detached
	}
	// Containers that have joined a sandbox cannot join another one.
	for _, c := range s.members() {
		if c.role != ephemeral && (c.running() || s.busy(opStart, c.name)) {
			return false
		}
	}
	if s.mounted && s.address.IsValid() && !p.nameTaken(u) {
		p.want(opStart, u.name)
	}
	return false
}

// unit brings one container a step further.
func (p *plan) unit(u *unit, placed bool) {
	switch {
	case p.s.busy(opStart, u.name) || p.s.busy(opStop, u.name):
	case u.suspect:
		p.want(opInspect, u.name)
		p.foresee(u)
	case u.running():
		p.run(u)
	default:
		p.restart(u, placed)
	}
}

// run looks after a container that is running.
func (p *plan) run(u *unit) {
	spec := p.s.spec(u.name)
	p.mend(u)
	switch {
	case u.kill != nil || u.role != ephemeral && (u.stranded || p.orphaned()) || p.s.mustGo(u):
		p.stop(opPostStart, u.name)
		p.stop(opProbe, u.name)
		if !p.s.admitted || u.role == ephemeral { // which serves nobody
			p.want(opStop, u.name)
		}
	case !u.hooked:
		p.want(opPostStart, u.name)
	case hasProbes(spec) && !u.probed:
		p.stop(opProbe, u.name) // from before somebody has started it again
		p.want(opProbe, u.name)
	}
}

// mend gives a container its network back that somebody has taken away. One that
// somebody has paused is left so, without traffic.
func (p *plan) mend(u *unit) {
	if u.cur.Detached {
		p.want(opReconnect, u.name)
	}
}

// orphaned says whether the sandbox is gone that the containers live in.
func (p *plan) orphaned() bool {
	u := p.s.sandbox
	return u != nil && u.cur != nil && !u.suspect && !u.running() && !p.s.busy(opStart, u.name)
}

// restart gives a container its first or next attempt, when its time has come.
func (p *plan) restart(u *unit, placed bool) {
	s := p.s
	p.stop(opPostStart, u.name)
	p.stop(opProbe, u.name)
	if u.ended() {
		if !s.restarts(u) {
			return
		}
		if until := s.retryAt(u); p.now.Before(until) {
			p.wakeAt(until)
			return
		}
	}
	if u.image == nil {
		p.want(opImage, u.name)
		p.pullBackOff(u)
		return
	}
	if s.busy(opSpare, u.name) || u.spare != nil && !s.awaits(u, p.now) || p.nameTaken(u) || u.revival() != nil {
		return
	}
	if placed {
		p.want(opStart, u.name)
	}
}

// pullBackOffAfter is how long ErrImagePull is shown before ImagePullBackOff.
const pullBackOffAfter = 2 * time.Second

func (p *plan) pullBackOff(u *unit) {
	if u.wait == nil || u.wait.reason != reasonErrImagePull || p.s.busy(opImage, u.name) {
		return
	}
	if at := u.wait.since.Add(pullBackOffAfter); p.now.Before(at) {
		p.wakeAt(at)
		return
	}
	p.want(opPullBackOff, u.name)
}

// nameTaken says whether the next attempt must wait for the container that an
// earlier run has made for it, and perhaps started in its last moment, to be gone.
// One that cannot be removed is used as it is.
func (p *plan) nameTaken(u *unit) bool {
	return slices.ContainsFunc(p.s.old, func(a *attempt) bool {
		j := job{opRemoveOld, a.ID}
		js := p.s.jobs[j]
		return p.s.isNext(a, u) && (js == nil || js.busy || js.failures == 0 || slices.Contains(p.begin, j))
	})
}

// isNext says whether an attempt is the one that a container gets next.
func (s *state) isNext(a *attempt, u *unit) bool { return a.Name == u.name && a.Attempt == u.next }

// retryAt is when the next attempt may follow the one that has ended.
func (s *state) retryAt(u *unit) time.Time {
	if u.gone || u.excused || s.mustGo(u) || u.role == initial && s.outlived(u) { // nobody's crash
		return time.Time{}
	}
	return u.crash.until(u.cur.FinishedAt)
}

// detains says whether those behind a container must wait for it. Containers start
// in the order of the manifest as far as one has a postStart hook: what comes after
// it may rely on what it did. A start that has failed detains nobody.
func (s *state) detains(u *unit) bool {
	return hasPostStart(s.spec(u.name)) && !u.hooked && !u.ended() && u.wait == nil
}

func hasPostStart(c *corev1.Container) bool {
	return c != nil && c.Lifecycle != nil && c.Lifecycle.PostStart != nil
}

func hasProbes(c *corev1.Container) bool {
	return c != nil && (c.StartupProbe != nil || c.ReadinessProbe != nil || c.LivenessProbe != nil)
}
