package docker

import (
	"context"
	"sync"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"skiff/runtime/container"
)

// How many events wait for a slow reader. What does not fit is replaced by one
// zero Event, for the reader must then look at everything anyway.
const eventBacklog = 1024

// Events reports what happens to the instance's containers until ctx ends, and
// then closes the channel. When it returns, the engine has been asked: a List
// made afterwards and the events together miss nothing. After a lost
// connection it comes back by itself and sends a zero Event.
func (e *Engine) Events(ctx context.Context) <-chan container.Event {
	out := make(chan container.Event)
	queue := make(chan container.Event, eventBacklog)
	var readers sync.WaitGroup
	for _, s := range []*subscription{
		{engine: e, args: e.containerEvents(), translate: eventOf, warns: true},
		{engine: e, args: e.networkEvents(), translate: func(m events.Message) container.Event { return e.disconnected(ctx, m) }},
	} {
		s.since, s.queue = time.Now().Add(-time.Second), queue
		messages, errs := s.open(ctx)
		readers.Go(func() { s.run(ctx, messages, errs) })
	}
	go func() {
		readers.Wait()
		close(queue)
	}()
	go func() {
		defer close(out)
		for event := range queue {
			select {
			case out <- event:
			case <-ctx.Done():
			}
		}
	}()
	return out
}

// containerEvents asks for what changes a container. Without this list every
// exec probe would be reported three times.
func (e *Engine) containerEvents() filters.Args {
	args := e.own()
	args.Add("type", string(events.ContainerEventType))
	for _, action := range []events.Action{
		events.ActionCreate, events.ActionStart, events.ActionDie, events.ActionOOM, events.ActionDestroy,
		events.ActionPause, events.ActionUnPause,
	} {
		args.Add("event", string(action))
	}
	return args
}

// networkEvents asks for containers that leave the instance's network, as each
// does when it ends.
func (e *Engine) networkEvents() filters.Args {
	return filters.NewArgs(
		filters.Arg("type", string(events.NetworkEventType)),
		filters.Arg("event", string(events.ActionDisconnect)),
		filters.Arg("network", e.networkName()),
	)
}

// disconnected tells of a container that has lost its network and runs on; of
// others it makes an event without an action.
func (e *Engine) disconnected(ctx context.Context, m events.Message) container.Event {
	s, err := e.Inspect(ctx, m.Actor.Attributes["container"])
	if err != nil || !s.Detached {
		return container.Event{}
	}
	return container.Event{ContainerID: s.ID, Pod: s.Pod, Name: s.Name, Action: string(m.Action), At: time.Unix(0, m.TimeNano)}
}

type subscription struct {
	engine    *Engine
	args      filters.Args
	translate func(events.Message) container.Event
	since     time.Time // where the next connection takes up
	queue     chan container.Event
	warns     bool // it tells what becomes of the engine
	away      bool // the reader was told that the engine is lost
	lost      bool // events were dropped and the reader does not know yet
}

// open asks from a moment in the past on: the engine answers before it has
// subscribed us, and what happened in between must not be missed. An event
// that comes twice does no harm.
func (s *subscription) open(ctx context.Context) (<-chan events.Message, <-chan error) {
	return s.engine.api.Events(ctx, eventOptions(s.since, s.args))
}

func eventOptions(since time.Time, args filters.Args) events.ListOptions {
	return events.ListOptions{Since: timestamp(since), Filters: args}
}

// run passes the events on. Where the engine is lost it asks until that is back:
// an engine on its way out may still tell of its containers' ends.
func (s *subscription) run(ctx context.Context, messages <-chan events.Message, errs <-chan error) {
	const first, longest = 50 * time.Millisecond, 2 * time.Second
	pause, again := first, time.NewTimer(time.Hour)
	defer again.Stop()
	for {
		select {
		case m := <-messages:
			s.since = time.Unix(0, m.TimeNano)
			if s.pass(ctx, m) {
				again.Reset(first)
			}
		case err := <-errs:
			if ctx.Err() != nil {
				return
			}
			s.engine.log.Warn("the engine's events ended; asking again", "error", err)
			messages, errs = nil, nil
			s.miss(ctx)
			again.Reset(pause)
		case <-again.C:
			if !s.engine.answers(ctx) {
				s.miss(ctx)
				pause = min(2*pause, longest)
				again.Reset(pause)
				continue
			}
			if messages == nil {
				messages, errs = s.open(ctx)
			}
			pause = first
			s.resume(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// pass hands on an event of a container, and says whether the engine seems to be
// ending: the end of a container may be the first that is seen of that.
func (s *subscription) pass(ctx context.Context, m events.Message) (ending bool) {
	if m.Actor.Attributes[labelGateway] != "" {
		return false
	}
	event := s.translate(m)
	if event.Action == "" {
		return false
	}
	if s.warns && !s.away && m.Action == events.ActionDie {
		s.miss(ctx)
		ending = s.away
	}
	s.put(event)
	return ending
}

// miss tells, once, that the engine does not answer, if that is so.
func (s *subscription) miss(ctx context.Context) {
	if s.warns && !s.away && !s.engine.answers(ctx) && ctx.Err() == nil {
		s.away = true
		s.tell(ctx, container.Event{Action: container.EngineLost})
	}
}

// resume tells that events may have been lost.
func (s *subscription) resume(ctx context.Context) {
	if !s.away {
		s.put(container.Event{})
		return
	}
	s.away, s.lost = false, false
	s.tell(ctx, container.Event{Action: container.EngineBack})
}

// tell waits until there is room: what becomes of the engine must not be missed.
func (s *subscription) tell(ctx context.Context, event container.Event) {
	select {
	case s.queue <- event:
	case <-ctx.Done():
	}
}

// answers says whether the engine answers within a time that it always keeps
// but when it is about to end, or stuck.
func (e *Engine) answers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	return e.Ping(ctx) == nil
}

// put never blocks: the engine drops a client that does not read.
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

func eventOf(m events.Message) container.Event {
	return container.Event{
		ContainerID: scheme + m.Actor.ID,
		Pod:         podOf(m.Actor.Attributes),
		Name:        m.Actor.Attributes[labelName],
		Action:      string(m.Action),
		At:          time.Unix(0, m.TimeNano),
	}
}
