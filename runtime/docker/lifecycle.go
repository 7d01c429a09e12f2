package docker

import (
	"context"
	"errors"
	"fmt"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	dockercontainer "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"skiff/runtime/container"
)

// Start starts a created container. Where the instance's network was removed
// behind skiff's back it is made again first.
func (e *Engine) Start(ctx context.Context, id string) error {
	leave, err := e.gate.enter(ctx, starting)
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()

	err = e.startWithAddress(ctx, engineID(id))
	if cerrdefs.IsNotFound(err) {
		// Either the container or its network is gone. The engine's answer is
		// the same, so ask for the network.
		restored, netErr := e.restoreNetwork(ctx)
		if netErr != nil {
			return netErr
		}
		if restored {
			err = e.startWithAddress(ctx, engineID(id))
		}
	}
	return e.judge(ctx, failure("start container", err))
}

// judge finds out whether a call failed because the engine is about to end: it
// then refuses in many words what it would do at any other time.
func (e *Engine) judge(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil || errors.Is(err, container.ErrUnavailable) || e.answers(ctx) {
		return err
	}
	return fmt.Errorf("%w: %w", container.ErrUnavailable, err)
}

// Disconnect takes a container that has not been started off the network that it
// was made with, until Reconnect. One that is off it is fine.
func (e *Engine) Disconnect(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	s, err := e.Inspect(ctx, id)
	if err != nil || s.Detached {
		return err
	}
	return failure("disconnect container from its network", e.api.NetworkDisconnect(ctx, e.networkName(), engineID(id), false))
}

// Reconnect gives a running container the network and the address that it was
// made with. One that has them is fine, container.ErrConflict where it does not run.
func (e *Engine) Reconnect(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	c, err := e.inspect(ctx, id)
	if err != nil {
		return err
	}
	s := e.describe(c)
	switch {
	case s.State != container.Running:
		return fmt.Errorf("connect container to its network: it does not run: %w", container.ErrConflict)
	case !s.Detached:
		return nil
	}
	if n := c.NetworkSettings.Networks[e.networkName()]; n != nil && n.EndpointID != "" { // at another address
		if err := e.api.NetworkDisconnect(ctx, e.networkName(), engineID(id), true); err != nil {
			return failure("disconnect container from its network", err)
		}
	}
	connect := func() error {
		return e.withAddress(ctx, engineID(id), func() error {
			return e.api.NetworkConnect(ctx, e.networkName(), engineID(id), &network.EndpointSettings{
				IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: s.Address.String()},
			})
		})
	}
	err = connect()
	if cerrdefs.IsNotFound(err) {
		if restored, netErr := e.restoreNetwork(ctx); netErr != nil || !restored {
			return errors.Join(failure("connect container to its network", err), netErr)
		}
		err = connect()
	}
	return e.judge(ctx, failure("connect container to its network", err))
}

func (e *Engine) startWithAddress(ctx context.Context, id string) error {
	return e.withAddress(ctx, id, func() error {
		return e.api.ContainerStart(ctx, id, dockercontainer.StartOptions{})
	})
}

// withAddress has a call give a container its address as soon as that is free. The
// engine reports an exit a moment before it gives the address back, so that the
// call may come too early.
func (e *Engine) withAddress(ctx context.Context, id string, call func() error) error {
	for wait := 5 * time.Millisecond; ; wait *= 2 {
		err := call()
		// An address in use is answered with 403, like other things that no
		// wait mends.
		if !cerrdefs.IsPermissionDenied(err) || wait > time.Second || !e.addressComesFree(ctx, id) {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// addressComesFree says whether the container's address is held by nothing
// that runs. The engine's list is a little behind: it is the single container's
// state that counts.
func (e *Engine) addressComesFree(ctx context.Context, id string) bool {
	c, err := e.Inspect(ctx, id)
	if err != nil || !c.Address.IsValid() {
		return false
	}
	args := e.own()
	args.Add("label", labelAddress+"="+c.Address.String())
	holders, err := e.api.ContainerList(ctx, dockercontainer.ListOptions{Filters: args})
	if err != nil {
		return false
	}
	for _, h := range holders {
		s, err := e.Inspect(ctx, h.ID)
		if err == nil && s.State == container.Running && !s.Detached {
			return false
		}
	}
	return true
}

// Stop sends the image's stop signal, kills after the grace and returns once
// the container has exited. It is nil for one that has exited already. The
// engine keeps the time itself, so that a stop that was begun is finished even
// if ctx ends or skiff is killed meanwhile; calling it again is harmless.
func (e *Engine) Stop(ctx context.Context, id string, grace time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, grace+callTimeout)
	defer cancel()
	if grace <= 0 {
		return e.kill(ctx, id)
	}
	// The engine counts whole seconds: it gets the next one, and a fraction is
	// ended from here.
	seconds := int((grace + time.Second - 1) / time.Second)
	done := make(chan error, 1)
	go func() {
		done <- e.api.ContainerStop(ctx, engineID(id), dockercontainer.StopOptions{Timeout: &seconds})
	}()
	timer := time.NewTimer(grace)
	defer timer.Stop()
	var err error
	select {
	case err = <-done:
	case <-timer.C:
		killErr := e.kill(ctx, id)
		if err = <-done; err == nil {
			err = killErr
		}
	}
	if err != nil {
		return failure("stop container", err)
	}
	return e.verifyExited(ctx, id)
}

// kill sends SIGKILL and waits for the exit.
func (e *Engine) kill(ctx context.Context, id string) error {
	exited, failed := e.api.ContainerWait(ctx, engineID(id), dockercontainer.WaitConditionNotRunning)
	err := e.api.ContainerKill(ctx, engineID(id), "SIGKILL")
	// A conflict means that it is not running: then the wait ends at once.
	if err != nil && !cerrdefs.IsConflict(err) {
		return failure("kill container", err)
	}
	select {
	case <-exited:
		return nil
	case err := <-failed:
		return failure("wait for container", err)
	}
}

// verifyExited catches an engine that reports a stop which was none.
func (e *Engine) verifyExited(ctx context.Context, id string) error {
	s, err := e.Inspect(ctx, id)
	if err != nil {
		return err
	}
	if s.State == container.Running {
		return fmt.Errorf("stop container: it runs on although the engine reports it stopped: %w", container.ErrConflict)
	}
	return nil
}

// Remove kills the container if need be and removes it with its anonymous
// volumes. It is nil for one that is gone.
func (e *Engine) Remove(ctx context.Context, id string) error {
	leave, err := e.gate.enter(ctx, removing)
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()

	err = e.api.ContainerRemove(ctx, engineID(id), dockercontainer.RemoveOptions{Force: true, RemoveVolumes: true})
	if cerrdefs.IsConflict(err) {
		// Somebody else's removal is under way: wait for that one.
		gone, failed := e.api.ContainerWait(ctx, engineID(id), dockercontainer.WaitConditionRemoved)
		select {
		case <-gone:
			err = nil
		case err = <-failed:
		}
	}
	if err = failure("remove container", err); errors.Is(err, container.ErrNotFound) {
		return nil
	}
	return err
}
