package fake

import "skiff/runtime/container"

// What happens to containers without the engine being asked.

// Exit lets a running container exit by itself.
func (e *Engine) Exit(id string, code int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r := e.containers[id]; r != nil {
		e.exit(r, code)
	}
}

// OOM lets a running container be killed for want of memory.
func (e *Engine) OOM(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r := e.containers[id]; r != nil && r.State == container.Running {
		r.OOMKilled = true
		e.emit(r, "oom")
		e.exit(r, killed)
	}
}

// Prune does what `docker system prune` does to containers: what does not run is
// removed.
func (e *Engine) Prune() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for id, r := range e.containers {
		if r.State != container.Running {
			e.remove(id)
		}
	}
}

// Vanish removes a container behind everybody's back, as `docker rm -f` does.
func (e *Engine) Vanish(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.remove(id)
}

// Unplug takes a running container off its network behind everybody's back, as
// `docker network disconnect` does.
func (e *Engine) Unplug(id string) {
	e.change(id, "disconnect", func(r *record) { r.Detached = true })
}

// Pause and Unpause do what docker's commands of these names do.
func (e *Engine) Pause(id string) { e.change(id, "pause", func(r *record) { r.Paused = true }) }

// Unpause lets a paused container go on.
func (e *Engine) Unpause(id string) {
	e.change(id, "unpause", func(r *record) { r.Paused = false })
}

func (e *Engine) change(id, action string, what func(*record)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r := e.containers[id]; r != nil && r.State == container.Running {
		what(r)
		e.emit(r, action)
	}
}
