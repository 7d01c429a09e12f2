package node

// Init containers do their work once for each sandbox, one after the other, and
// only then the regular containers begin. A new sandbox is a new Pod to them: it
// has none of the routes, rules and interfaces that they may have set up.

// outlived says whether a container ran in a sandbox that is no more, or before
// all were restarted.
func (s *state) outlived(u *unit) bool {
	return s.bygone(u) || s.sandbox != nil && s.sandbox.cur != nil && u.cur != nil && u.cur.Sandbox != s.sandbox.cur.ID
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

// failedInit finds an init container that has failed for good.
func (s *state) failedInit() *unit {
	for _, u := range s.inits {
		if u.role == initial && u.ended() && !u.suspect && u.cur.ExitCode != 0 && !s.wanted(u) && !s.outlived(u) {
			return u
		}
	}
	return nil
}

// initialize brings the init containers a step further and says whether the
// regular ones may follow.
func (p *plan) initialize(placed bool) bool {
	s := p.s
	done := s.initialized()
	for _, u := range s.inits {
		if u.role == initial && done && !u.suspect {
			continue // the work is done, whatever has become of the container
		}
		p.unit(u, placed)
		placed = placed && (done || s.through(u))
	}
	return placed
}
