package gateway

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"
)

// A gateway that runs and cannot be asked holds what it held: nobody is told
// that it has let go. In the end another one takes its place.
func TestGatewayCutOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stop()
	w.patience = 2 * time.Second
	w.connect()
	a, slow, let := serve(t, "a")
	w.Set(t.Context(), w.service(80, member("a", a)))
	w.Begin()
	w.eventually("a", 80)
	answer := make(chan string, 1)
	go func() { answer <- w.get(80, "/slow") }()
	<-slow
	stopped := w.machine.stopped
	w.machine.cutOff()
	drained := make(chan error, 1)
	go func() { drained <- w.Drain("a", time.Second)(t.Context()) }()
	select {
	case err := <-drained:
		select {
		case <-stopped:
		default:
			t.Errorf("drained with a request in flight: %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("the gateway was not replaced")
	}
	close(let)
	<-answer
}

// What keeps the gateway from running is said once for each reason, and so is
// its end.
func TestTroubleIsLoggedOnce(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	l := &Link{up: make(chan struct{}), options: LinkOptions{Log: slog.New(slog.NewTextHandler(&log, nil))}}
	pull, full := errors.New("no image"), errors.New("no space")
	for _, err := range []error{nil, pull, pull, pull, full, full, nil, nil, full} {
		l.note(err)
	}
	var said []string
	for line := range strings.Lines(log.String()) {
		_, text, _ := strings.Cut(line, "level=")
		said = append(said, strings.TrimSpace(text))
	}
	const trouble = `WARN msg="Pods cannot reach Services: the gateway does not run; trying again" error="no `
	want := []string{trouble + `image"`, trouble + `space"`, `INFO msg="the gateway runs again"`, trouble + `space"`}
	if !slices.Equal(said, want) {
		t.Errorf("logged %q", said)
	}
	select {
	case <-l.Up():
	default:
		t.Error("who waits for the gateway waits for ever")
	}
}
