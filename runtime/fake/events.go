package fake

import (
	"context"
	"time"

	"skiff/runtime/container"
)

const eventBacklog = 1024

type subscription struct {
	queue chan container.Event
	lost  bool
}

// Events reports every change from now on, until ctx ends.
func (e *Engine) Events(ctx context.Context) <-chan container.Event {
	s := &subscription{queue: make(chan container.Event, eventBacklog)}
	e.mu.Lock()
	e.subs[s] = true
	e.mu.Unlock()
	out := make(chan container.Event)
	go func() {
		defer close(out)
		defer func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			delete(e.subs, s)
		}()
		for {
			select {
			case event := <-s.queue:
				select {
				case out <- event:
				case <-ctx.Done():
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// LoseEvents does what a lost connection to the engine does: the events that
// nobody has read yet are gone, and a zero one says so.
func (e *Engine) LoseEvents() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for s := range e.subs {
		for len(s.queue) > 0 {
			select {
			case <-s.queue:
			default:
			}
		}
		s.put(container.Event{})
	}
}

func (s *subscription) put(event container.Event) {
	if s.lost {
		event = container.Event{}
	}
	select {
	case s.queue <- event:
		s.lost = false
	default:
		s.lost = true
	}
}

// emit tells all who listen. The lock is held.
func (e *Engine) emit(r *record, action string) {
	for s := range e.subs {
		s.put(container.Event{ContainerID: r.ID, Pod: r.Pod, Name: r.Name, Action: action, At: time.Now()})
	}
}
