package docker

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	dockercontainer "github.com/docker/docker/api/types/container"
)

// What is kept of a command's output, as the kubelet does for probes.
const execOutput = 10 << 10

// Exec runs a command in a running container and returns what it wrote, cut at
// 10 KiB, and its exit code. When ctx ends first the command is killed where
// that is possible, and ctx's error is returned with what it wrote so far.
func (e *Engine) Exec(ctx context.Context, id string, cmd []string) ([]byte, int, error) {
	made, err := e.api.ContainerExecCreate(ctx, engineID(id), dockercontainer.ExecOptions{
		Cmd:          cmd,
		AttachStdout: true,
		AttachStderr: true,
	})
	if err != nil {
		return nil, 0, failure("exec in container", err)
	}
	stream, err := e.api.ContainerExecAttach(ctx, made.ID, dockercontainer.ExecAttachOptions{})
	if err != nil {
		return nil, 0, failure("exec in container", err)
	}
	defer stream.Close()
	stop := context.AfterFunc(ctx, stream.Close)
	defer stop()

	output := &head{limit: execOutput}
	_, err = io.Copy(output, demultiplex(stream.Reader))
	if ctx.Err() != nil {
		e.killExec(ctx, id, made.ID)
		return output.kept, 0, fmt.Errorf("exec in container: %w", ctx.Err())
	}
	if err != nil {
		return output.kept, 0, failure("read output of exec", err)
	}
	code, err := e.execExit(ctx, id, made.ID)
	return output.kept, code, err
}

// How long it takes until the engine is asked again whether a command has ended:
// it has no call that waits for that. The output may end a little before the
// command does, or long before if it closed it.
const firstExitPause, lastExitPause = 5 * time.Millisecond, 200 * time.Millisecond

// execExit waits for the end of a command and reads its exit code.
func (e *Engine) execExit(ctx context.Context, id, exec string) (int, error) {
	pause, timer := firstExitPause, time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			e.killExec(ctx, id, exec)
			return 0, fmt.Errorf("exec in container: %w", ctx.Err())
		}
		state, err := e.api.ContainerExecInspect(ctx, exec)
		if err != nil {
			return 0, failure("inspect exec", err)
		}
		if !state.Running {
			return state.ExitCode, nil
		}
		timer.Reset(pause)
		pause = min(2*pause, lastExitPause)
	}
}

// killExec ends a command that has run out of time. The engine offers no call
// for that, but where it runs on this machine, and skiff may, its process can
// be killed. The process is held before it is checked to be the container's:
// the number alone could belong to another machine, or to another process by
// now.
func (e *Engine) killExec(ctx context.Context, id, exec string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	state, err := e.api.ContainerExecInspect(ctx, exec)
	if err != nil || !state.Running || state.Pid <= 1 {
		return
	}
	process, err := os.FindProcess(state.Pid)
	if err != nil {
		return
	}
	defer process.Release()
	groups, err := os.ReadFile("/proc/" + strconv.Itoa(state.Pid) + "/cgroup")
	if err != nil || !strings.Contains(string(groups), engineID(id)) {
		return
	}
	if err := process.Kill(); err != nil {
		e.log.Debug("a command that ran out of time goes on in its container", "container", id, "error", err)
	}
}

// head keeps the beginning of what is written to it.
type head struct {
	kept  []byte
	limit int
}

func (h *head) Write(p []byte) (int, error) {
	h.kept = append(h.kept, p[:min(len(p), h.limit-len(h.kept))]...)
	return len(p), nil
}
