package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"skiff/proxy/handover"
	"skiff/proxy/lines"
	"skiff/proxy/switchboard"
	"skiff/runtime/docker"
)

// inheritance is what a process has of the one that it took the instance over
// from: nothing where it took it afresh.
type inheritance struct {
	elder     *handover.Elder
	will      handover.Conn // over which the elder says what goes on when it leaves
	lines     *lines.Set
	inherited int  // how many listeners
	entered   bool // the elder has left
}

// protocol is the way in which one process asks another for an instance. One
// that speaks another is refused, and nothing is changed.
const protocol = 2

// surrender is what the elder may take to bring its own work to an end.
const surrender = time.Minute

// request is what somebody says who connects: an heir, or who only asks.
type request struct {
	Protocol int
	Take     bool
}

// deed answers an heir. With it come the open files: the lock, the socket at
// which heirs ask, the API's, a connection for the will, and then those of Lines.
type deed struct {
	Error string `json:",omitempty"` // why there is nothing to be had
	Lines []line `json:",omitempty"`
}

type line struct{ Network, Address string }

const fixedFiles = 4

// will is what goes on at the moment at which the elder leaves. With it come the
// sockets of Flows.
type will struct {
	Flows []lines.Flow      `json:",omitempty"`
	Stays switchboard.Stays `json:",omitempty"`
}

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
	e.elder = handover.NewElder(conn, e.takeElder)
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
	var willErr error
	e.will, willErr = handover.Over(files[3])
	err = errors.Join(err, willErr)
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
	read := make(chan will, 1)
	go func() {
		w, err := e.read()
		if err != nil { // the elder has left all the same, or says so itself
			e.log.Warn("read what goes on in the process that leaves", "error", err)
		}
		read <- w
	}()
	err := e.elder.Leave(ctx)
	if err != nil {
		_ = e.will.Close()
	}
	w := <-read
	if err != nil {
		return err
	}
	e.entered = true
	e.board.Recall(w.Stays)
	return errors.Join(e.will.Close(), e.lines.Free(w.Flows), paths.announce())
}

// read waits for the will, and gives all of it or nothing.
func (e *estate) read() (w will, err error) {
	if err := e.will.SetDeadline(time.Now().Add(surrender)); err != nil {
		return w, err
	}
	files, err := e.will.Receive(&w)
	if err == nil && len(files) != len(w.Flows) {
		err = fmt.Errorf("%d sockets came for %d flows", len(files), len(w.Flows))
	}
	if err != nil {
		for _, f := range files {
			_ = f.Close()
		}
		return will{}, err
	}
	for i, f := range files {
		w.Flows[i].Socket = f
	}
	return w, nil
}
