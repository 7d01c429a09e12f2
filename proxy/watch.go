package proxy

import (
	"sync"
	"time"
)

const (
	// watchAfter is how long a client is not looked after, since most answers
	// come sooner than it can change its mind. One that has only closed its own
	// half gets those answers, too.
	watchAfter = 100 * time.Millisecond
	// bodyTimeout bounds how long a client may pause within a body.
	bodyTimeout = 2 * time.Minute
	// sendPatience is for the last part of a body that was answered already.
	sendPatience = 100 * time.Millisecond
)

// watch looks after the client while its request is under way: it notices when
// the client leaves, and sends on what is still to come of the body. It has a
// goroutine only where that is needed.
type watch struct {
	client *client
	timer  *time.Timer
	done   chan struct{} // gets one value from each goroutine

	mu    sync.Mutex
	on    bool // begun or uploading, and not ended
	timed bool // the timer starts it
}

// begin looks after a client from which nothing is read, unless that is done
// already.
func (w *watch) begin() {
	if w.client.socket == nil || !w.start(true) {
		return
	}
	if w.timer == nil {
		w.done = make(chan struct{}, 1)
		w.timer = time.AfterFunc(watchAfter, w.look)
	} else {
		w.timer.Reset(watchAfter)
	}
}

// upload looks after one whose body is still to come.
func (w *watch) upload(conn *backConn) {
	w.start(false)
	if w.done == nil {
		w.done = make(chan struct{}, 1)
	}
	go func() {
		t := &w.client.trip
		if err := t.body.send(conn, w.client.wire, w.goOn); err != nil && w.goOn() {
			t.uploadFailed(conn, err)
		}
		if t.body.ended.Load() && w.client.socket != nil {
			w.look()
			return
		}
		w.done <- struct{}{}
	}()
}

func (w *watch) look() {
	w.mu.Lock()
	if w.on {
		w.client.patient()
	}
	w.mu.Unlock()
	body, secret := &w.client.trip.body, w.client.raw == nil // its end may be behind a goodbye that only TLS can read
	if ended(w.client.socket, func() bool { return secret || !body.ended.Load() }) {
		w.client.leave(errClientGone)
		w.client.trip.cut(errClientGone)
	}
	w.done <- struct{}{}
}

// end returns when nobody reads from the client any more. conn is where the
// body went, if one was being sent.
func (w *watch) end(conn *backConn) {
	w.mu.Lock()
	if !w.on {
		w.mu.Unlock()
		return
	}
	w.on = false
	if w.timed && w.timer.Stop() {
		w.mu.Unlock()
		return
	}
	w.client.interrupt()
	w.mu.Unlock()
	defer w.client.patient()
	if conn == nil {
		<-w.done
		return
	}
	if !w.client.trip.body.ended.Load() {
		conn.Close()
	}
	patience := time.NewTimer(sendPatience)
	defer patience.Stop()
	select {
	case <-w.done:
	case <-patience.C:
		conn.Close()
		<-w.done
	}
}

// start says whether there is something to start.
func (w *watch) start(timed bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.on {
		return false
	}
	w.on, w.timed = true, timed
	return true
}

// goOn gives the client time for the next part of its body, unless nobody wants
// it any more.
func (w *watch) goOn() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.on {
		w.client.within(bodyTimeout)
	}
	return w.on
}
