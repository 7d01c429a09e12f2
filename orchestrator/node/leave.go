package node

import "slices"

// leave ends a Pod in good order: out of the pools and drained, containers
// asked to end, everything removed, and the object last. When skiff goes down,
// containers and object stay.
func (p *plan) leave() {
	s := p.s
	p.abandon()
	if !s.drained {
		p.drain()
		return
	}
	if p.starting() {
		return
	}
	if s.halting && s.outage { // nobody can end what there is
		p.quiet = true
		return
	}
	if s.stray {
		p.want(opSweep, "")
		return
	}
	if p.end() {
		return
	}
	if s.pod.DeletionTimestamp == nil {
		known := p.inspectAll()
		p.quiet = !p.tidy() && known && !s.busy(opReport, "")
		return
	}
	p.clear()
}

// abandon cuts short what would only bring the Pod up.
func (p *plan) abandon() {
	for _, u := range p.s.all() {
		p.stop(opImage, u.name)
		p.stop(opStart, u.name)
		p.stop(opSpare, u.name)
		p.stop(opPostStart, u.name)
		p.stop(opProbe, u.name)
	}
	p.stop(opStandBy, "")
	p.stop(opMount, "")
	p.stop(opRefresh, "")
	p.stop(opMeasure, "")
	p.stop(opAdd, "")
}

// drain waits for the requests in flight, which the work itself bounds by the
// grace period.
func (p *plan) drain() {
	s := p.s
	if s.busy(opAdd, "") || s.busy(opRemoveTraffic, "") {
		return
	}
	js := s.jobs[job{opDrain, ""}]
	switch {
	case js == nil || !js.busy:
		p.want(opDrain, "")
	case !s.deadline.Before(js.deadline):
	case p.now.Before(s.deadline): // the grace period was cut
		p.wakeAt(s.deadline)
	default:
		p.stop(opDrain, "") // once more, which ends at once
	}
}

func (p *plan) starting() bool {
	for _, u := range p.s.all() {
		if p.s.busy(opStart, u.name) || p.s.busy(opSpare, u.name) {
			return true
		}
	}
	return p.s.busy(opStandBy, "") || p.s.busy(opMount, "") || p.s.busy(opRefresh, "") || p.s.busy(opMeasure, "")
}

// end asks the running containers to end, then the sidecars, which may have to
// serve them to the last, in the reverse of the order in which they began, and
// then the sandbox. It says whether that is still going on. The preStop hooks of
// sidecars wait for nobody's end, or the grace period would be over before them.
func (p *plan) end() bool {
	s, going := p.s, false
	for _, u := range s.members() {
		if u.role != sidecar {
			going = p.endUnit(u) || going
		}
	}
	for _, u := range slices.Backward(s.inits) {
		if u.role == sidecar {
			going = p.takeLeave(u) || going
			going = going || p.endUnit(u)
		}
	}
	going = p.quell() || going
	if !going && s.pod.DeletionTimestamp == nil {
		going = p.endUnit(s.box())
	}
	return going
}

// takeLeave has a sidecar's preStop hook run and says whether that is going on.
func (p *plan) takeLeave(u *unit) bool {
	switch {
	case p.s.busy(opPreStop, u.name):
		p.hasten(opPreStop, u.name)
	case u.running() && !u.announced:
		p.want(opPreStop, u.name)
	default:
		return false
	}
	return true
}

func (p *plan) endUnit(u *unit) bool {
	if p.s.busy(opStop, u.name) {
		p.hasten(opStop, u.name)
		return true
	}
	if !u.running() {
		return false
	}
	p.want(opStop, u.name)
	return true
}

// hasten cuts a running stop or preStop hook short where the grace period was cut:
// a stop is begun anew, with what is left.
func (p *plan) hasten(o op, name string) {
	js := p.s.jobs[job{o, name}]
	if js != nil && js.busy && p.s.leaving() && p.s.deadline.Before(js.deadline) {
		p.stop(o, name)
	}
}

// inspectAll learns how the containers ended, which the object that stays will
// tell, and says whether it is all known.
func (p *plan) inspectAll() bool {
	known := true
	for _, u := range p.s.all() {
		if u.suspect {
			known = false
			p.want(opInspect, u.name)
		}
	}
	return known
}

// vanish ends a Pod that the API has forgotten: nobody waits for it and nobody
// grants it a grace period.
func (p *plan) vanish() {
	s := p.s
	p.abandon()
	p.stop(opDrain, "")
	for _, u := range s.all() {
		p.stop(opPreStop, u.name)
		p.stop(opStop, u.name)
	}
	if s.admitted && !s.drained {
		if !s.busy(opAdd, "") {
			p.want(opRemoveTraffic, "")
		}
		return
	}
	if p.starting() || s.busy(opDrain, "") {
		return
	}
	if s.stray {
		p.want(opSweep, "")
		return
	}
	p.clear()
}

// clear removes what a Pod has left behind, the object last: whoever sees it
// gone can rely on the rest.
func (p *plan) clear() {
	s := p.s
	switch {
	case !s.removed:
		// An object that finalizers hold still tells how its containers ended.
		if !s.vanished && len(s.pod.Finalizers) > 0 && !p.inspectAll() {
			return
		}
		p.want(opRemove, "")
	case !s.unmounted:
		p.want(opUnmount, "")
	case !s.released:
		p.want(opRelease, "")
	case s.vanished:
		p.over = true
	case !s.deleted:
		p.want(opDelete, "")
	default: // only finalizers hold the object, perhaps for ever
		p.quiet = s.halting
	}
}

// containers lists the IDs of all that the Pod is known to have.
func (s *state) containers() []string {
	all := slices.Clone(s.old)
	for _, u := range s.all() {
		all = append(all, u.cur, u.last, u.spare)
	}
	var ids []string
	for _, a := range all {
		if a != nil && a.ID != "" {
			ids = append(ids, a.ID)
		}
	}
	return ids
}
