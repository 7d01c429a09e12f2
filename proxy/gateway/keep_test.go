package gateway

import (
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
	case <-time.After(20 * time.Second):
		t.Error("the gateway was not replaced")
	}
	close(let)
	<-answer
}
