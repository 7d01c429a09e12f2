package docker

import (
	"testing"
	"time"

	"skiff/runtime/container"
)

func TestEventsSurviveTheConnection(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	relay := newRelay(t, e)
	through, err := New(Options{Instance: e.instance, UID: e.uid, Host: relay.host, Log: e.log})
	if err != nil {
		t.Fatal(err)
	}
	defer through.Close()
	events := through.Events(t.Context())
	relay.cut()
	limit := time.NewTimer(2 * time.Minute)
	defer limit.Stop()
	select {
	case got := <-events:
		if got != (container.Event{}) {
			t.Fatalf("after the connection was lost came %+v, want a zero event", got)
		}
	case <-limit.C:
		t.Fatal("no event after the connection was lost")
	}
	id := start(t, e, spec(t, e, "exit", "0"))
	for wanted := []string{"create", "start", "die"}; len(wanted) > 0; {
		want := wanted[0]
		select {
		case got := <-events:
			if got == (container.Event{}) {
				continue // the other stream was lost, too
			}
			wanted = wanted[1:]
			if got.ContainerID != id || got.Action != want {
				t.Errorf("event %+v, want %s of %s", got, want, id)
			}
		case <-limit.C:
			t.Fatalf("no event %s", want)
		}
	}
}

func TestSlowReaderOfEvents(t *testing.T) {
	t.Parallel()
	s := &subscription{queue: make(chan container.Event, 2)}
	for i := range 5 { // three too many
		s.put(container.Event{ContainerID: string(rune('a' + i))})
	}
	first, second := <-s.queue, <-s.queue
	s.put(container.Event{ContainerID: "later"})
	if third := <-s.queue; first.ContainerID != "a" || second.ContainerID != "b" || third != (container.Event{}) {
		t.Errorf("got %v, %v, %v, want a, b and the zero event", first, second, third)
	}
	s.put(container.Event{ContainerID: "next"})
	if got := <-s.queue; got.ContainerID != "next" {
		t.Errorf("after the zero event came %v", got)
	}
}
