package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"skiff/proxy/handover"
	"skiff/proxy/lines"
	"skiff/runtime/docker"
)

// protocol is the way in which one process asks another for an instance. One
// that speaks another is refused, and nothing is changed.
const protocol = 1

const (
	// requestPatience bounds what somebody who connects may take to say what for.
	requestPatience = 5 * time.Second
	// surrender is what the elder may take to bring its own work to an end.
	surrender = time.Minute
	// heirPatience is what an heir may take until it is ready. Until then the API
	// does not answer, and what was forwarded goes on.
	heirPatience = 2 * time.Minute
	acceptPause  = 100 * time.Millisecond
)

// request is what somebody says who connects: an heir, or who only asks.
type request struct {
	Protocol int
	Take     bool
}

// deed answers an heir. With it come the open files: the lock, the socket at
// which heirs ask, the API's, and then those of Lines.
type deed struct {
	Error string `json:",omitempty"` // why there is nothing to be had
	Lines []line `json:",omitempty"`
}

type line struct{ Network, Address string }

const fixedFiles = 3

// Description is what the process that runs an instance says of itself.
type Description struct {
	Version   string
	Process   int
	Args, Env []string // with which the next one is to be started
	Inherited int      // listeners that it was handed
}

// Describe asks the process that runs an instance.
func Describe(ctx context.Context, paths Paths) (d Description, err error) {
	conn, err := handover.Dial(ctx, paths.control)
	if err != nil {
		return d, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := conn.Send(request{Protocol: protocol}); err != nil {
		return d, err
	}
	_, err = conn.Receive(&d)
	return d, err
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
					time.Sleep(acceptPause) // there may be no descriptors
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
	case e.heir = <-e.heirs:
		e.asked.Store(true)
		return true
	case <-ctx.Done():
		return false
	}
}

// succeed takes the instance over from the process that runs it. What can fail
// before that is disturbed is tried first.
func (o *Orchestrator) succeed(ctx context.Context, e *estate) (err error) {
	if err := o.paths.CheckOwner(o.options.Name); err != nil {
		return err
	}
	if err := o.tryEngine(ctx); err != nil {
		return err
	}
	conn, err := handover.Dial(ctx, o.paths.control)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, conn.Close())
		}
		if err != nil && e.lock != nil {
			err = errors.Join(err, e.lock.release())
		}
	}()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := conn.SetDeadline(time.Now().Add(surrender)); err != nil {
		return err
	}
	if err := conn.Send(request{Protocol: protocol, Take: true}); err != nil {
		return err
	}
	var d deed
	files, err := conn.Receive(&d)
	if err != nil {
		return err
	}
	if d.Error != "" {
		return errors.New("take over: " + d.Error)
	}
	if err := e.take(d, files); err != nil {
		return err
	}
	e.elder = handover.NewElder(conn)
	return conn.SetDeadline(time.Time{})
}

// tryEngine sees whether this process can work with the engine at all.
func (o *Orchestrator) tryEngine(ctx context.Context) error {
	engine, err := docker.New(docker.Options{Instance: o.options.Name, Log: o.options.Log})
	if err != nil {
		return err
	}
	_, err = engine.Info(ctx)
	return errors.Join(err, engine.Close())
}

// take makes what came with a deed this process's own.
func (e *estate) take(d deed, files []*os.File) error {
	if len(files) != fixedFiles+len(d.Lines) {
		for _, f := range files {
			_ = f.Close()
		}
		return fmt.Errorf("take over: %d sockets came for %d listeners", len(files), len(d.Lines))
	}
	e.lock = &lock{file: files[0]}
	control, err := net.FileListener(files[1])
	api, apiErr := net.FileListener(files[2])
	err = errors.Join(err, apiErr, files[1].Close(), files[2].Close())
	e.lines = lines.New()
	for i, l := range d.Lines {
		err = errors.Join(err, e.lines.Add(l.Network, l.Address, files[fixedFiles+i]))
	}
	if err != nil {
		return err
	}
	var known bool
	if e.control, known = control.(*net.UnixListener); !known {
		return errors.New("take over: what came is no listener for heirs")
	}
	if e.api, known = api.(*net.TCPListener); !known {
		return errors.New("take over: what came is no listener of the API")
	}
	e.inherited = 1 + len(d.Lines)
	return nil
}

// inherit has the elder leave, once: from then on this process is the owner.
func (e *estate) inherit(ctx context.Context, paths Paths) error {
	if e.elder == nil || e.entered {
		return nil
	}
	if err := e.elder.Leave(ctx); err != nil {
		return err
	}
	e.entered = true
	return errors.Join(e.lines.Free(), paths.announce())
}

// bequeath hands the instance to the heir that has asked, and does as that says.
// false: the heir has not become ready, and this process goes on.
func (o *Orchestrator) bequeath(ctx context.Context, e *estate) bool {
	ready := make(chan struct{})
	why := e.send()
	if why == nil {
		e.obeyed = make(chan struct{})
		go func() {
			defer close(e.obeyed)
			e.refused = handover.Obey(context.WithoutCancel(ctx), e.heir, e.front(), func() {
				e.give()
				close(ready)
			})
		}()
		timer := time.NewTimer(heirPatience)
		defer timer.Stop()
		select {
		case <-ready:
			return true
		case <-e.obeyed:
			why = errors.Join(errors.New("it ended"), e.refused)
		case <-timer.C:
			why = errors.Join(errors.New("it took too long"), kill(e.heir.Process))
		case <-ctx.Done():
			why = ctx.Err()
		}
		_ = e.heir.Close()
		<-e.obeyed
	}
	if e.given { // at the last moment
		return true
	}
	e.log.Error("the process that was to take over did not become ready; going on", "process", e.heir.Process, "reason", why)
	e.heir = handover.Conn{}
	e.asked.Store(false)
	e.proxy.Reclaim()
	return false
}

// send gives the heir everything. What is forwarded goes on here until it says
// that it is ready.
func (e *estate) send() error {
	files := []syscall.Conn{e.lock.file, e.control, e.api}
	var d deed
	for _, l := range e.proxy.Lend() {
		d.Lines = append(d.Lines, line{l.Network, l.Address})
		files = append(files, l.Socket)
	}
	return e.heir.Send(d, files...)
}

// give makes the heir the owner.
func (e *estate) give() {
	e.proxy.Leave()
	if err := e.letGo(); err != nil {
		e.log.Warn("close what was handed over", "error", err)
	}
	e.given = true
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
	e.log.Info("handed over; staying until the connections have ended", "to", e.heir.Process)
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
	case <-e.obeyed:
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
