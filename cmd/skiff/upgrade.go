package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"skiff/orchestrator"
)

// takeOverEnv has a daemon take over from the one that runs.
const takeOverEnv = "SKIFF_TAKE_OVER"

func (p *program) upgrade() *cobra.Command {
	return spec{
		name:  "upgrade",
		short: "replace the running skiff by another version, or restart it, without losing a request",
		long: `The new process is started as the running one was and takes over its open
listeners; containers run on. Connections that are open stay with the old
process until they end, for ten minutes at most. What goes between Pods goes on
through the gateway that runs, which is another version from the next "skiff
down" and "up" on. If the new process does not become ready, the old one goes on.`,
		examples: examples(
			"skiff upgrade                            to the version of this program",
			"skiff upgrade --binary ./skiff-next"),
		flags: func(f *flags) {
			f.String("binary", "", "", "`FILE` of the program to run from now on (default: the one that runs this command)")
			f.Duration("timeout", time.Minute, "how long the new process may take to become ready")
		},
		run: p.runUpgrade,
	}.command()
}

func (p *program) runUpgrade(c *call) error {
	at, err := locate(c)
	if err != nil {
		return err
	}
	binary, err := programFile(c.String("binary"))
	if err != nil {
		return err
	}
	if _, err := at.process(); err != nil {
		return err
	}
	start := time.Now()
	before, err := orchestrator.Describe(c.ctx, at.paths)
	if err != nil {
		return fmt.Errorf("upgrade: %w (\"skiff down\" and \"skiff up\" change versions, too)", err)
	}
	ctx, cancel := context.WithTimeoutCause(c.ctx, c.Duration("timeout"), errNotReady)
	defer cancel()
	daemon := successor(binary, before)
	if _, err := p.background(ctx, at, daemon); err != nil {
		return fmt.Errorf("%w\nskiff %s goes on (process %d)", err, before.Version, before.Process)
	}
	after, err := orchestrator.Describe(c.ctx, at.paths)
	if err != nil {
		return err
	}
	printf(p.Out, "upgraded skiff %s → %s in %.1f s, %d listeners handed over (process %d → %d)\n",
		before.Version, after.Version, time.Since(start).Seconds(), after.Inherited, before.Process, after.Process)
	return nil
}

var errNotReady = errors.New("the new process did not become ready in time (--timeout)")

// programFile finds the program to run.
func programFile(named string) (string, error) {
	if named == "" {
		self, err := os.Executable()
		if err != nil {
			return "", fmt.Errorf("find this program: %w", err)
		}
		return self, nil
	}
	path, err := exec.LookPath(named)
	if err != nil && !errors.Is(err, exec.ErrDot) {
		return "", fmt.Errorf("find the new program: %w", err)
	}
	return filepath.Abs(path)
}

// successor is the process that takes over, which sees what the running one saw
// when it was started.
func successor(binary string, running orchestrator.Description) *exec.Cmd {
	daemon := exec.Command(binary, running.Args...)
	daemon.Env = append(slices.DeleteFunc(running.Env, func(v string) bool {
		return strings.HasPrefix(v, readyFDEnv+"=") || strings.HasPrefix(v, takeOverEnv+"=")
	}), takeOverEnv+"=1")
	return daemon
}
