package fake

import "skiff/runtime/container"

// Lose does what the end of the engine does: every call fails until Regain. With
// a code that is not negative all containers end with it on the way.
func (e *Engine) Lose(code int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lost = true
	e.tell(container.EngineLost)
	if code < 0 {
		return
	}
	for _, r := range e.containers {
		e.exit(r, code)
	}
}

// Regain has the engine answer again.
func (e *Engine) Regain() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lost = false
	e.tell(container.EngineBack)
}

// ExitUnseen ends a container without an event.
func (e *Engine) ExitUnseen(id string, code int) { e.Unseen(func() { e.Exit(id, code) }) }

// Unseen has nobody told of what happens meanwhile.
func (e *Engine) Unseen(what func()) {
	e.mu.Lock()
	subs := e.subs
	e.subs = nil
	e.mu.Unlock()
	what()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.subs = subs
}

// tell says what becomes of the engine. The lock is held.
func (e *Engine) tell(action string) {
	for s := range e.subs {
		s.put(container.Event{Action: action})
	}
}
