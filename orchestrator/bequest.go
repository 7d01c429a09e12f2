package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"skiff/proxy/handover"
	"skiff/proxy/lines"
)

const (
	// requestPatience bounds what somebody who connects may take to say what for.
	requestPatience = 5 * time.Second
	// heirPatience is what an heir may take until it is ready. Until then the API
	// does not answer, and what was forwarded goes on.
	heirPatience = 2 * time.Minute
	acceptPause  = 100 * time.Millisecond
)

// heir is a process that has asked for the instance.
type heir struct {
	handover.Conn               // over which it says what to do
	last          handover.Conn // over which it is told what goes on when this one leaves
	rest          func()        // ends the obeying; nil before that has begun
	obeyed        chan struct{} // closed when nothing more is heard of it
	refused       error         // why, once obeyed is closed
}

// dismiss ends what goes on with the heir, which hears that nothing is left here.
func (h *heir) dismiss() {
	if h.rest != nil {
		h.rest()
		<-h.obeyed
	}
	_ = h.Close()
}

// attend listens, from now on, to those who ask for the instance.
func (e *estate) attend(o *Orchestrator) {
	if e.control == nil {
		return
	}
	e.attended.Do(func() {
		e.attending.Go(func() {
			for {
				conn, err := handover.Accept(e.control)
				switch {
				case errors.Is(err, net.ErrClosed):
					return
				case err != nil:
					e.log.Warn("somebody asked to take over", "error", err)
					select { // there may be no descriptors
					case <-time.After(acceptPause):
					case <-e.handed:
					}
				default:
					e.greet(o, conn)
				}
			}
		})
	})
}

func (e *estate) greet(o *Orchestrator, conn handover.Conn) {
	err := conn.SetDeadline(time.Now().Add(requestPatience))
	var r request
	if err == nil {
		_, err = conn.Receive(&r)
	}
	switch {
	case err != nil:
	case r.Protocol != protocol:
		err = conn.Send(deed{Error: fmt.Sprintf("version %s of skiff, which runs, hands over in another way: \"skiff down\" and \"skiff up\" change versions", o.options.Version)})
	case !r.Take:
		err = conn.Send(Description{
			Version: o.options.Version, Process: os.Getpid(),
			Args: o.options.Args, Env: os.Environ(), Inherited: e.inherited,
		})
	default:
		if err = conn.SetDeadline(time.Time{}); err != nil {
			break
		}
		select {
		case e.heirs <- conn:
			return
		default:
			err = conn.Send(deed{Error: "skiff is about to start, to stop or to hand over to another process"})
		}
	}
	if err != nil {
		e.log.Debug("answer who asks for the instance", "error", err)
	}
	_ = conn.Close()
}

// awaitHeir returns true when an heir asks, false when ctx ends.
func (e *estate) awaitHeir(ctx context.Context) bool {
	select {
	case conn := <-e.heirs:
		e.heir.Store(&heir{Conn: conn})
		return true
	case <-ctx.Done():
		return false
	}
}

// bequeath hands the instance to the heir that has asked, and does as that says.
// false: the heir has not become ready, and this process goes on.
func (o *Orchestrator) bequeath(ctx context.Context, e *estate) bool {
	h := e.heir.Load()
	why := e.send(h)
	if why == nil {
		why = e.obey(ctx, h)
	}
	if e.given {
		return true
	}
	_ = h.Close()
	if h.last.UnixConn != nil {
		_ = h.last.Close()
	}
	e.log.Error("the process that was to take over did not become ready; going on", "process", h.Process, "reason", why)
	e.heir.Store(nil)
	e.proxy.Reclaim()
	return false
}

var errTooLong = errors.New("it took too long")

// obey does as the heir says, also after it has returned, which it does once the
// heir is the owner. The error is why that will never be.
func (e *estate) obey(ctx context.Context, h *heir) (why error) {
	var decided atomic.Bool // one way or the other
	ready := make(chan struct{})
	h.obeyed = make(chan struct{})
	var obeying context.Context
	obeying, h.rest = context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(h.obeyed)
		h.refused = handover.Obey(obeying, h.Conn, handover.Process{Front: e.front(), Count: e.count, Leave: func() {
			if decided.Swap(true) {
				<-obeying.Done() // too late: the heir does not hear that it is the owner
				return
			}
			e.give(h)
			close(ready)
		}})
	}()
	timer := time.NewTimer(heirPatience)
	defer timer.Stop()
	select {
	case <-ready:
		return nil
	case <-h.obeyed:
		h.rest()
		return errors.Join(errors.New("it ended"), h.refused)
	case <-timer.C:
		why = errTooLong
	case <-ctx.Done():
		why = ctx.Err()
	}
	if decided.Swap(true) { // for the heir, at the last moment
		<-ready
		return nil
	}
	if why == errTooLong {
		why = errors.Join(why, kill(h.Process))
	}
	_ = h.Close()
	h.rest()
	<-h.obeyed
	return why
}

// send gives the heir everything. What is forwarded goes on here until it says
// that it is ready.
func (e *estate) send(h *heir) (err error) {
	var theirs *os.File
	if h.last, theirs, err = handover.Pair(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, theirs.Close()) }()
	files := []syscall.Conn{e.lock.file, e.control, e.api, theirs}
	var d deed
	for _, l := range e.proxy.Lend() {
		d.Lines = append(d.Lines, line{l.Network, l.Address})
		files = append(files, l.Socket)
	}
	return h.Send(d, files...)
}

// give makes the heir the owner.
func (e *estate) give(h *heir) {
	if err := e.testify(h, e.proxy.Leave()); err != nil {
		e.log.Warn("tell the heir what goes on", "error", err)
	}
	if err := e.letGo(); err != nil {
		e.log.Warn("close what was handed over", "error", err)
	}
	e.given = true
}

// maxFlows is how many of UDP's conversations go over. The others begin anew.
const maxFlows = 8192

// testify tells the heir what goes on, once nothing new begins here.
func (e *estate) testify(h *heir, flows []lines.Flow) error {
	w := will{Flows: flows[:min(len(flows), maxFlows)], Stays: e.board.Stays()}
	var sockets []syscall.Conn
	for _, f := range flows {
		defer f.Socket.Close()
		sockets = append(sockets, f.Socket)
	}
	err := h.last.SetDeadline(time.Now().Add(requestPatience))
	if err == nil {
		err = h.last.Send(w, sockets[:len(w.Flows)]...)
	}
	return errors.Join(err, h.last.Close())
}

// kill ends a process that has the store open and does not get on.
func kill(number int) error {
	if number <= 0 {
		return nil
	}
	process, err := os.FindProcess(number)
	if err != nil {
		return err
	}
	return process.Kill()
}

const (
	// lingerLimit bounds how long connections stay with a process that has handed
	// over, and parting what those that are left then get to end in good order.
	lingerLimit = 10 * time.Minute
	parting     = 30 * time.Second
)

// linger serves the connections that are left here, until the last one has
// ended, or the heir has.
func (o *Orchestrator) linger(ctx context.Context, e *estate) error {
	o.mu.Lock()
	o.stopPods = func(context.Context) error { return nil } // the heir's now
	o.mu.Unlock()
	o.settle()
	h := e.heir.Load()
	e.log.Info("handed over; staying until the connections have ended", "to", h.Process)
	limited, cancel := context.WithTimeout(ctx, lingerLimit)
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if e.proxy.Empty(limited) == nil && e.elder != nil {
			select {
			case <-e.elder.Gone():
			case <-limited.Done():
			}
		}
	}()
	select {
	case <-ended:
	case <-h.obeyed:
	}
	if errors.Is(limited.Err(), context.DeadlineExceeded) {
		e.board.Dismiss(ctx, parting)
	}
	cancel()
	<-ended
	e.log.Info("all connections have ended, and so does this process")
	return nil
}

// unsettle says that it is open who goes on.
func (o *Orchestrator) unsettle() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stopPods, o.settled = nil, make(chan struct{})
}

// settle says that it is decided.
func (o *Orchestrator) settle() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.settled != nil {
		close(o.settled)
		o.settled = nil
	}
}
