package proxy

import (
	"errors"
	"time"

	"skiff/proxy/pool"
)

// attach makes conn the one that a cut closes.
func (t *trip) attach(conn *backConn) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cause != nil {
		conn.Close()
		return t.cause
	}
	t.back = conn
	return nil
}

func (t *trip) detach() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.back = nil
}

// cut ends the trip early: whoever waits for the back end is woken up, and a
// client that does not read has a moment left. An event stream ends cleanly.
func (t *trip) cut(cause error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.goodbye = true
	t.SetWriteDeadline(time.Now().Add(goodbyePatience))
	if t.events != nil && (errors.Is(cause, pool.ErrStreamCut) || errors.Is(cause, pool.ErrRequestCut)) {
		events := t.events
		go events.end(cause) // which may have to wait for the client
		return
	}
	if t.cause == nil {
		t.cause = cause
	}
	if t.back != nil {
		t.back.Close()
	}
}

func (t *trip) isCut() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cause != nil
}

// withCause tells a trip that was cut from one that failed by itself.
func (t *trip) withCause(err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil && t.cause != nil && !errors.Is(err, t.cause) {
		return &cutError{cause: t.cause, err: err}
	}
	return err
}
