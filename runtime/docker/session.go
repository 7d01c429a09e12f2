package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/docker/docker/api/types"
	dockercontainer "github.com/docker/docker/api/types/container"

	"skiff/runtime/container"
)

// ExecSession runs a command in a running container for somebody who talks to
// it, and returns its exit code. When ctx ends, the command is killed where that
// is possible.
func (e *Engine) ExecSession(ctx context.Context, id string, cmd []string, s container.Session) (int, error) {
	made, err := e.api.ContainerExecCreate(ctx, engineID(id), dockercontainer.ExecOptions{
		Cmd:          cmd,
		Tty:          s.TTY,
		AttachStdin:  s.In != nil,
		AttachStdout: s.Out != nil,
		AttachStderr: s.Err != nil,
	})
	if err != nil {
		return 0, failure("exec in container", err)
	}
	stream, err := e.api.ContainerExecAttach(ctx, made.ID, dockercontainer.ExecAttachOptions{Tty: s.TTY})
	if err != nil {
		return 0, failure("exec in container", err)
	}
	err = e.converse(ctx, stream, s, true, func(o dockercontainer.ResizeOptions) error {
		return e.api.ContainerExecResize(ctx, made.ID, o)
	})
	if ctx.Err() != nil {
		e.killExec(ctx, id, made.ID)
		return 0, fmt.Errorf("exec in container: %w", ctx.Err())
	}
	if err != nil {
		return 0, failure("exec in container", err)
	}
	return e.execExit(ctx, id, made.ID)
}

// unsaid is how long a container that has ended may take to hand over what it said
// last.
const unsaid = 2 * time.Second

var errEnded = fmt.Errorf("attach to container: it has ended: %w", container.ErrConflict)

// AttachSession connects somebody to a container's own process, until that ends
// or ctx does. It answers container.ErrConflict where it has ended before.
func (e *Engine) AttachSession(ctx context.Context, id string, s container.Session) error {
	c, err := e.inspect(ctx, id)
	if err != nil {
		return err
	}
	if !c.State.Running {
		return errEnded
	}
	s.TTY = c.Config.Tty
	stream, err := e.api.ContainerAttach(ctx, engineID(id), dockercontainer.AttachOptions{
		Stream: true,
		Stdin:  s.In != nil && c.Config.OpenStdin,
		Stdout: s.Out != nil,
		Stderr: s.Err != nil || s.TTY,
	})
	if err != nil {
		return failure("attach to container", err)
	}
	// The engine attaches to one that has ended meanwhile, too, and never says so.
	if c, err := e.inspect(ctx, id); err == nil && !c.State.Running {
		_ = stream.Conn.SetReadDeadline(time.Now().Add(unsaid)) // it may have ended in between, with all said
	}
	// The engine hands on the end of the input only to a process that reads but
	// one; for any other it would take it for the end of the whole session.
	ends := c.Config.StdinOnce && !s.TTY
	err = e.converse(ctx, stream, s, ends, func(o dockercontainer.ResizeOptions) error {
		return e.api.ContainerResize(ctx, engineID(id), o)
	})
	if ctx.Err() != nil {
		return fmt.Errorf("attach to container: %w", ctx.Err())
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errEnded
	}
	return failure("attach to container", err)
}

// converse carries what is said both ways until the process has said all. The
// end of the input is said, too, where ends.
func (e *Engine) converse(ctx context.Context, stream types.HijackedResponse, s container.Session, ends bool, resize func(dockercontainer.ResizeOptions) error) error {
	defer stream.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, stream.Close)
	defer stop()
	go e.followSize(ctx, s.Resize, resize)
	if s.In != nil {
		go func() { // it ends with its reader, which its owner ends
			_, err := io.Copy(stream.Conn, s.In)
			if ends {
				err = errors.Join(err, stream.CloseWrite())
			}
			if err != nil {
				e.log.Debug("standard input of a session ended", "error", err)
			}
		}()
	}
	if s.TTY {
		_, err := io.Copy(orDiscard(s.Out), stream.Reader)
		return err
	}
	return split(stream.Reader, orDiscard(s.Out), orDiscard(s.Err))
}

func (e *Engine) followSize(ctx context.Context, sizes <-chan container.Size, resize func(dockercontainer.ResizeOptions) error) {
	for {
		select {
		case size, ok := <-sizes:
			if !ok {
				return
			}
			// The command may not have started, or have ended.
			if err := resize(dockercontainer.ResizeOptions{Width: uint(size.Width), Height: uint(size.Height)}); err != nil {
				e.log.Debug("terminal not resized", "error", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

func orDiscard(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}

// split takes the engine's frames apart.
func split(r io.Reader, out, stderr io.Writer) error {
	for {
		stream, length, err := nextFrame(r)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		to := out
		if stream == standardError {
			to = stderr
		}
		if _, err := io.CopyN(to, r, int64(length)); err != nil {
			return fmt.Errorf("read frame of the engine's stream: %w", err)
		}
	}
}
