package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// instance runs skiff's commands on the demo's own instance.
type instance struct {
	skiff, name, dataDir string
}

func (i instance) command(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, i.skiff, append([]string{"--name", i.name, "--data-dir", i.dataDir}, args...)...)
}

// show runs a command and shows it with what it prints, as in a terminal.
func (i instance) show(ctx context.Context, args ...string) error {
	_, err := i.run(ctx, args...)
	return err
}

// run is show; it also returns what the command printed on standard error.
func (i instance) run(ctx context.Context, args ...string) (stderr string, err error) {
	fmt.Println("$ skiff", strings.Join(args, " "))
	var errs bytes.Buffer
	cmd := i.command(ctx, args...)
	cmd.Stdout = os.Stdout
	cmd.Stderr = &errs
	err = cmd.Run()
	os.Stderr.Write(errs.Bytes())
	if err != nil {
		err = fmt.Errorf("skiff %s: %w", strings.Join(args, " "), err)
	}
	return errs.String(), err
}

// rolloutError is a rollout that skiff gave up.
type rolloutError struct{ reason string }

func (e rolloutError) Error() string { return "rollout failed: " + e.reason }

// rollout runs a command that starts a rollout, waits for its end and says how
// long it took.
func (i instance) rollout(ctx context.Context, args ...string) (time.Duration, error) {
	start := time.Now()
	if err := i.show(ctx, args...); err != nil {
		return 0, err
	}
	object := args[2]
	stderr, err := i.run(ctx, "rollout", "status", object)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		reason, _, _ := strings.Cut(strings.TrimSpace(stderr), "\n")
		return time.Since(start), rolloutError{strings.TrimPrefix(reason, "error: ")}
	}
	return time.Since(start), err
}

// address is where the first port of a NodePort Service is reached.
func (i instance) address(ctx context.Context, service string) (string, error) {
	out, err := i.command(ctx, "get", "service", service, "-o", "jsonpath={.spec.ports[0].nodePort}").Output()
	if err != nil {
		return "", fmt.Errorf("read the node port of %s: %w", service, err)
	}
	return "127.0.0.1:" + string(out), nil
}

// mongoManifest copies the manifest with its data folder moved below dir.
func mongoManifest(name, dir string) (string, error) {
	const path = "/tmp/skiff-example-mongo"
	text, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	if !bytes.Contains(text, []byte(path)) {
		return "", fmt.Errorf("%s does not name its data folder %s", name, path)
	}
	out := filepath.Join(dir, filepath.Base(name))
	return out, os.WriteFile(out, bytes.ReplaceAll(text, []byte(path), []byte(filepath.Join(dir, "mongo"))), 0o600)
}

// client is the database's client while it writes.
type client struct {
	cmd *exec.Cmd
	out bytes.Buffer
}

func startClient(ctx context.Context, binary, address string) (*client, error) {
	c := &client{cmd: exec.CommandContext(ctx, binary, "-uri", "mongodb://"+address+"/?directConnection=true")}
	c.cmd.Stdout = &c.out
	c.cmd.Stderr = os.Stderr
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the database's client: %w", err)
	}
	return c, nil
}

// clientReport is what the client prints at its end.
type clientReport struct {
	Acknowledged  int
	Failed        int
	Errors        []string
	LongestWaitMs int64
	Found         int
	Versions      []string
}

// stop ends the writing, waits until the client has read everything back and
// gives its report.
func (c *client) stop() (*clientReport, error) {
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return nil, fmt.Errorf("stop the database's client: %w", err)
	}
	waitErr := c.cmd.Wait()
	var r clientReport
	if err := json.Unmarshal(c.out.Bytes(), &r); err != nil {
		return nil, errors.Join(waitErr, fmt.Errorf("read the client's report: %w", err))
	}
	return &r, nil
}
