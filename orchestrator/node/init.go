package node

// Init containers do their work once for each sandbox, one after the other, and
// only then the regular containers begin. A new sandbox is a new Pod to them: it
// has none of the routes, rules and interfaces that they may have set up.

// outlived says whether a container ran in a sandbox that is no more.
func (s *state) outlived(u *unit) bool {
	return s.sandbox != nil && s.sandbox.cur != nil && u.cur != nil && u.cur.Sandbox != s.sandbox.cur.ID
}

// through says whether what comes after an init container may begin.
func (s *state) through(u *unit) bool {
	if u.suspect || s.outlived(u) {
		return false
	}
	if u.role == sidecar {
		return u.running() && !u.down && u.hooked && u.started
	}
	return u.ended() && u.cur.ExitCode == 0
}

// initialized says whether the regular containers may run. Once one of them
// has, no sidecar that restarts holds them up.
func (s *state) initialized() bool {
	for _, u := range s.units {
		if u.cur != nil && !s.outlived(u) {
			return true
		}
	}
	for _, u := range s.inits {
		if !s.through(u) {
			return false
		}
	}
	return true
}

// initFailed says whether an init container has failed for good.
func (s *state) initFailed() bool {
	for _, u := range s.inits {
		if u.role == initial && u.ended() && !u.suspect && u.cur.ExitCode != 0 && !s.wanted(u) && !s.outlived(u) {
			return true
		}
	}
	return false
}

// initialize brings the init containers a step further and says whether the
// regular ones may follow.
func (p *plan) initialize(placed bool) bool {
	s := p.s
	done := s.initialized()
	for _, u := range s.inits {
		if u.role == initial && done {
			continue // the work is done, whatever has become of the container
		}
		p.unit(u, placed)
		placed = placed && (done || s.through(u))
	}
	return placed
}
