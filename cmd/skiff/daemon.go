package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"skiff/orchestrator"
)

const defaultName = orchestrator.DefaultName

// place is where an instance lives. Everything that the command does with the
// orchestrator itself, and not through its API, goes through here.
type place struct {
	name, dir string
	paths     orchestrator.Paths
}

func locate(c *call) (place, error) {
	name, dir, err := dataDir(c)
	return place{name, dir, orchestrator.PathsIn(dir)}, err
}

func (p place) kubeconfig() string { return p.paths.Kubeconfig }

// running gives the daemon's process number, 0 if there is none. A data
// directory of an instance of another name is refused.
func (p place) running() (int, error) {
	if err := p.paths.CheckOwner(p.name); err != nil {
		return 0, err
	}
	return p.paths.Running()
}

// process is running for who needs the daemon: that there is none is an error.
func (p place) process() (int, error) {
	pid, err := p.running()
	if err == nil && pid == 0 {
		err = notRunning(p.name)
	}
	return pid, err
}

// unsettledPatience is what a process may take to start or to stop.
const unsettledPatience = 2 * time.Minute

// settled gives the process that runs the instance, 0 if there is none. One that
// is about to start or to stop is waited for.
func (p place) settled(ctx context.Context) (pid int, err error) {
	for deadline := time.Now().Add(unsettledPatience); ; {
		pid, err := p.running()
		numberless := errors.Is(err, fs.ErrNotExist) // it has only just begun, or ends
		if err != nil && !numberless {
			return 0, err
		}
		if !numberless && (pid == 0 || p.isReady(ctx)) {
			return pid, nil
		}
		if time.Now().After(deadline) {
			return 0, fmt.Errorf("instance %q is about to start or to stop, for %s already (process %d)", p.name, unsettledPatience, pid)
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return 0, err
		}
	}
}

// isReady asks the API whether it is to be counted on.
func (p place) isReady(ctx context.Context) bool {
	config, err := clientcmd.BuildConfigFromFlags("", p.kubeconfig())
	if err != nil {
		return false
	}
	config.Timeout = time.Second
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return false
	}
	return client.RESTClient().Get().AbsPath("/readyz").Do(ctx).Error() == nil
}

func (p place) options(listen string, log io.Writer) orchestrator.Options {
	return orchestrator.Options{
		Name: p.name, DataDir: p.dir, Listen: listen, Version: releaseName(),
		Log: slog.New(slog.NewTextHandler(log, nil)),
	}
}

// serve runs the instance until ctx ends, then stops its containers, objects
// staying as they are. A signal during the latter has it leave without that;
// the next start finds the containers. whenReady is called with the API's address.
func (p place) serve(ctx context.Context, options orchestrator.Options, whenReady func(address string)) error {
	klog.SetSlogLogger(options.Log)
	utilruntime.ReallyCrash = false // for one object's sake; there is nobody to start it again
	o, err := orchestrator.New(options)
	if err != nil {
		return err
	}
	running, leave := context.WithCancel(context.WithoutCancel(ctx))
	defer leave()
	ended := make(chan error, 1)
	go func() { ended <- o.Run(running) }()
	select {
	case err := <-ended:
		return p.explain(err)
	case <-ctx.Done():
		leave()
		return <-ended
	case <-o.Ready():
		whenReady(o.Address())
	}
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	stopping, stop := signal.NotifyContext(running, os.Interrupt, syscall.SIGTERM)
	defer stop()
	options.Log.Info("stopping the containers, with their grace periods")
	if err := o.StopPods(stopping); err != nil && stopping.Err() == nil {
		options.Log.Error("stop containers", "error", err)
	}
	leave()
	return <-ended
}

// explain adds to the reason why the instance does not start what to do about it.
func (p place) explain(err error) error {
	switch {
	case errors.Is(err, orchestrator.ErrRunning):
		return fmt.Errorf(`instance %q is %w: "%[3]s status" tells about it, "%[3]s down" stops it`, p.name, orchestrator.ErrRunning, skiffFor(p.name))
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: make room on the disk of %s, or keep the instance elsewhere with --data-dir", err, p.dir)
	}
	return err
}

// stop ends the daemon as its Ctrl-C does and waits for its end. One that hands
// over at that moment is followed, but not one that was started since.
func (p place) stop(ctx context.Context, pid int) error {
	for {
		if err := terminate(pid); err != nil {
			return fmt.Errorf("stop process %d: %w", pid, err)
		}
		err := p.paths.WaitStopped(ctx, pid)
		if !errors.Is(err, orchestrator.ErrRunning) {
			return err
		}
		if pid, err = p.running(); err != nil || pid == 0 {
			return err
		}
		next, err := orchestrator.Describe(ctx, p.paths)
		if ctx.Err() != nil {
			return fmt.Errorf("wait for the daemon to stop: %w", ctx.Err())
		}
		if err != nil || next.Inherited == 0 { // an heir answers, and has listeners
			return nil
		}
	}
}

func (p place) purge(ctx context.Context) error {
	return orchestrator.Purge(ctx, p.options(defaultListen, io.Discard))
}
