package orchestrator

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"skiff/orchestrator/traffic"
	"skiff/proxy"
	"skiff/proxy/handover"
	"skiff/proxy/switchboard"
	"skiff/runtime/docker"
)

// estate is what a process has of an instance besides what is on disk. All of it
// goes over to an heir: the lock, the open sockets and, by way of messages, what
// becomes of the connections that stay in this process until they end.
type estate struct {
	log     *slog.Logger
	lock    *lock
	control *net.UnixListener // where an heir asks; nil: none can
	api     *net.TCPListener  // nil before it is opened
	engine  *docker.Engine    // nil before the store was read
	proxy   *proxy.Proxy
	board   *switchboard.Board
	ledger  switchboard.Ledger // of all that was counted

	inheritance

	handed    chan struct{} // closed with this process's ends of what an heir has
	attending sync.WaitGroup
	attended  sync.Once
	heirs     chan handover.Conn
	heir      atomic.Pointer[heir] // the one that has asked; nil: none has
	given     bool                 // it is the owner now
}

// enter takes the instance: afresh, or from the process that runs it.
func (o *Orchestrator) enter(ctx context.Context) (*estate, error) {
	e := &estate{log: o.options.Log, heirs: make(chan handover.Conn), handed: make(chan struct{})}
	take := o.acquire
	if o.options.TakeOver {
		take = o.succeed
	}
	if err := take(ctx, e); err != nil {
		return nil, err
	}
	e.proxy = proxy.New(proxy.Options{Dial: e.dial, Log: e.log, Lines: e.lines})
	e.board = switchboard.New(e.proxy, e.log)
	return e, nil
}

func (o *Orchestrator) acquire(ctx context.Context, e *estate) (err error) {
	if e.lock, err = o.paths.acquire(ctx); err != nil {
		return err
	}
	if err = o.paths.claim(o.options.Name); err == nil {
		// Whoever finds the lock held finds its holder's number.
		err = o.paths.announce()
	}
	if err != nil {
		return errors.Join(err, e.lock.release())
	}
	if e.control, err = handover.Listen(o.paths.control); err != nil {
		e.log.Info("\"skiff upgrade\" is not possible", "reason", err)
	}
	return nil
}

// dial reaches Pods. Nobody asks before the engine is known.
func (e *estate) dial(ctx context.Context, network, address string) (net.Conn, error) {
	return e.engine.DialContext(ctx, network, address)
}

// front is what forwards on this host.
func (e *estate) front() traffic.Front {
	if e.elder == nil {
		return e.board
	}
	return e.elder.Followed(e.board)
}

// forward ends the pools after what uses them: a request that is still served
// while the proxy ends finds its back end.
func (e *estate) forward(ctx context.Context) error {
	pools, end := context.WithCancel(context.WithoutCancel(ctx))
	var board errgroup.Group
	board.Go(func() error { return e.board.Run(pools) })
	err := e.proxy.Run(ctx)
	end()
	return errors.Join(err, board.Wait())
}

// owned says whether this process is the one that runs the instance.
func (e *estate) owned() bool { return (e.elder == nil || e.entered) && !e.given }

// release gives up what this process still has.
func (e *estate) release(paths Paths) error {
	var errs []error
	if e.owned() {
		errs = append(errs, os.Remove(paths.PID))
		if e.control != nil {
			errs = append(errs, os.Remove(paths.control))
		}
	}
	errs = append(errs, e.letGo())
	e.attending.Wait()
	if e.engine != nil {
		errs = append(errs, e.engine.Close())
	}
	if h := e.heir.Load(); h != nil {
		h.dismiss()
	}
	return errors.Join(errs...)
}

// letGo closes this process's ends of what an heir has as well.
func (e *estate) letGo() error {
	if e.given {
		return nil
	}
	close(e.handed)
	var errs []error
	if e.control != nil {
		errs = append(errs, e.control.Close())
	}
	if e.api != nil {
		errs = append(errs, e.api.Close())
	}
	return errors.Join(append(errs, e.lock.release())...)
}
