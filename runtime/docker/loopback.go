package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"

	"github.com/docker/docker/api/types"
	dockercontainer "github.com/docker/docker/api/types/container"

	"skiff/runtime/container"
	"skiff/runtime/loopback"
)

const (
	forwarderName   = "PORT" // no container of a Pod can be called that
	forwarderMemory = 64 << 20
	nobody          = "65534:65534"
	// forwardersAtOnce bounds how many run; who wants another waits for its turn.
	forwardersAtOnce = 32
)

// DialLoopback connects to a port of the loopback address of a running container
// of a Pod. Nobody reaches it from outside, so that skiff's program goes inside,
// for as long as the connection is open.
func (e *Engine) DialLoopback(ctx context.Context, pod container.Pod, id string, port int) (conn net.Conn, err error) {
	select {
	case e.forwarders <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("forward to loopback: %d connections are forwarded already: %w", forwardersAtOnce, ctx.Err())
	}
	leave := sync.OnceFunc(func() { <-e.forwarders })
	defer func() {
		if err != nil {
			leave()
		}
	}()
	config := &dockercontainer.Config{
		Cmd: []string{loopback.Command, strconv.Itoa(port)}, User: nobody,
		AttachStdin: true, AttachStdout: true, AttachStderr: true, OpenStdin: true, StdinOnce: true,
	}
	forwarder, err := e.createTool(ctx, pod, forwarderName, config, &dockercontainer.HostConfig{
		NetworkMode: dockercontainer.NetworkMode(namespace(id)),
		LogConfig:   dockercontainer.LogConfig{Type: "none"}, // what it writes is the server's
		AutoRemove:  true,                                    // should skiff die meanwhile
		Resources:   dockercontainer.Resources{Memory: forwarderMemory, MemorySwap: forwarderMemory},
	})
	if err != nil {
		return nil, failure("forward to loopback", err)
	}
	c, err := e.connect(ctx, forwarder, leave)
	if err != nil {
		return nil, errors.Join(failure("forward to loopback", err), e.Remove(context.WithoutCancel(ctx), forwarder))
	}
	return c, nil
}

// connect starts the forwarder and waits until it is connected.
func (e *Engine) connect(ctx context.Context, forwarder string, removed func()) (*tunnel, error) {
	stream, err := e.api.ContainerAttach(ctx, forwarder, dockercontainer.AttachOptions{Stream: true, Stdin: true, Stdout: true, Stderr: true})
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, stream.Close)
	defer stop()
	c := &tunnel{Conn: stream.Conn, stream: stream, from: demultiplex(stream.Reader)}
	c.remove = func() error {
		defer removed()
		return e.Remove(context.WithoutCancel(ctx), forwarder)
	}
	if err := e.startTool(ctx, forwarder); err != nil {
		stream.Close()
		return nil, err
	}
	first := make([]byte, 1)
	if _, err := io.ReadFull(c.from, first); err != nil {
		stream.Close()
		return nil, errors.Join(ctx.Err(), err)
	}
	if first[0] != loopback.Connected {
		const longest = 1024
		text, _ := io.ReadAll(io.LimitReader(c.from, longest))
		stream.Close()
		return nil, errors.New(strings.TrimPrefix(strings.TrimSpace(string(first)+string(text)), "error: "))
	}
	return c, nil
}

// tunnel is a connection over the standard streams of a forwarder.
type tunnel struct {
	net.Conn // to the engine
	stream   types.HijackedResponse
	from     io.Reader
	remove   func() error
}

func (t *tunnel) Read(p []byte) (int, error) { return t.from.Read(p) }

// CloseWrite tells the server that no more will come.
func (t *tunnel) CloseWrite() error { return t.stream.CloseWrite() }

// Close ends the connection and removes the forwarder.
func (t *tunnel) Close() error {
	t.stream.Close()
	return t.remove()
}
