package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/resource"

	"skiff/orchestrator"
)

const (
	defaultListen  = "127.0.0.1:7443"
	defaultIngress = "80,443"
	// readyFDEnv holds the number of the file in which a daemon in the
	// background tells the command that started it how the start went.
	readyFDEnv = "SKIFF_READY_FD"
	readyAt    = "ready at "
	otherRuns  = "another one runs"
	maxLog     = 16 << 20
	maxReason  = 64 << 10
)

func (p *program) up() *cobra.Command {
	return spec{
		name:  "up",
		short: "start skiff: the API, the controllers and the proxy",
		long: `In the foreground, Ctrl-C stops the containers and then skiff; a second Ctrl-C
leaves and lets the containers run, as soon as the requests under way are
answered, and after five seconds at most. What was created stays and starts again
with the next "skiff up".`,
		examples: examples(
			"skiff up -d",
			"skiff --name test up -d --listen 127.0.0.1:0     another instance, on a free port"),
		flags: func(f *flags) {
			f.Bool("detach", "d", false, "in the background; return once the API is ready")
			f.String("listen", "", defaultListen, "loopback `ADDRESS` of the API; port 0 takes a free one")
			f.String("ingress", "", defaultIngress, "`PORTS` HTTP,HTTPS of Ingresses and of http://SERVICE.localhost, or off; where one is not free or not allowed another is taken, 0 takes any")
			f.String("cpus", "", "", "processors that Pods may request together, as a `QUANTITY` such as 4 or 1500m (default: those of the engine's machine)")
			f.String("memory", "", "", "memory that Pods may request together, as a `QUANTITY` such as 8Gi (default: that of the engine's machine)")
			f.String("gateway-program", "", os.Getenv("SKIFF_GATEWAY_PROGRAM"), "`FILE` of a static skiff for Linux, which runs in a container ($SKIFF_GATEWAY_PROGRAM), else this program")
		},
		run: func(c *call) error {
			at, err := locate(c)
			if err != nil {
				return err
			}
			options, err := upOptions(c, at, p.ErrOut)
			if err != nil {
				return err
			}
			if c.Bool("detach") {
				return p.upDetached(c, at)
			}
			return p.upHere(c, at, options)
		},
	}.command()
}

// upOptions reads the flags, also for a daemon in the background, so that a
// mistake is told where it was made.
func upOptions(c *call, at place, log io.Writer) (orchestrator.Options, error) {
	o := at.options(c.String("listen"), log)
	o.GatewayProgram = c.String("gateway-program")
	o.TakeOver = os.Getenv(takeOverEnv) != ""
	o.Args = upArgs(c, at)
	var err error
	if o.Ingress, err = ingressPorts(c.String("ingress")); err != nil {
		return o, c.usage(err.Error())
	}
	for flag, to := range map[string]*resource.Quantity{"cpus": &o.CPUs, "memory": &o.Memory} {
		text := c.String(flag)
		if text == "" {
			continue
		}
		quantity, err := resource.ParseQuantity(text)
		if err != nil || quantity.Sign() <= 0 {
			return o, c.usage(fmt.Sprintf("--%s %s: not a quantity above zero such as 4, 1500m or 8Gi", flag, text))
		}
		*to = quantity
	}
	return o, nil
}

func (p *program) upHere(c *call, at place, options orchestrator.Options) error {
	if number, err := strconv.ParseUint(os.Getenv(readyFDEnv), 10, strconv.IntSize); err == nil {
		return upInBackground(c, at, options, os.NewFile(uintptr(number), "ready"))
	}
	start := time.Now()
	if pid, err := at.settled(c.ctx); err != nil {
		return err
	} else if pid != 0 {
		return at.explain(orchestrator.ErrRunning)
	}
	return at.serve(c.ctx, options, func(address string) {
		p.sayReady(at, address, time.Since(start))
		printf(p.Out, "Ctrl-C stops it.\n")
	})
}

// upInBackground tells the command that started it where the API is, or why
// there is none. That is in the log as well, unless the disk is full; where
// another process runs the instance, the log is that one's.
func upInBackground(c *call, at place, options orchestrator.Options, tell *os.File) error {
	defer tell.Close()
	err := at.serve(c.ctx, options, func(address string) {
		printf(tell, "%s%s", readyAt, address)
		_ = tell.Close()
	})
	if errors.Is(err, orchestrator.ErrRunning) {
		printf(tell, otherRuns)
		return errReported
	}
	report(tell, err)
	return err
}

func (p *program) sayReady(at place, address string, took time.Duration) {
	printf(p.Out, "API ready in %.1f s at https://%s\n", took.Seconds(), address)
	printf(p.Out, "Next: %s apply -f FILE, %[1]s get all; for kubectl: export KUBECONFIG=%s\n", skiffFor(at.name), at.kubeconfig())
}

// upDetached starts this program again in the background, unless it runs.
func (p *program) upDetached(c *call, at place) error {
	start := time.Now()
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("start skiff: %w", err)
	}
	for {
		pid, err := at.settled(c.ctx)
		if err != nil {
			return err
		}
		if pid != 0 {
			printf(p.Out, "skiff is already running (process %d)\n", pid)
			return nil
		}
		address, err := p.background(c.ctx, at, exec.Command(self, upArgs(c, at)...))
		if errors.Is(err, orchestrator.ErrRunning) {
			continue // somebody else was faster
		}
		if err != nil {
			return err
		}
		p.sayReady(at, address, time.Since(start))
		return nil
	}
}

// upArgs are the arguments with which a daemon is started as this one was.
func upArgs(c *call, at place) []string {
	return []string{"--name=" + at.name, "--data-dir=" + at.dir, "up",
		"--listen=" + c.String("listen"), "--cpus=" + c.String("cpus"), "--memory=" + c.String("memory"),
		"--gateway-program=" + c.String("gateway-program"), "--ingress=" + c.String("ingress")}
}

// background starts a daemon in a session of its own, which no terminal ends,
// and gives the address of its API once that is ready. A daemon that does not
// become ready has ended when background returns. ErrRunning: there is another.
func (p *program) background(ctx context.Context, at place, daemon *exec.Cmd) (address string, err error) {
	log, begin, err := openLog(at)
	if err != nil {
		return "", at.explain(err)
	}
	defer log.Close()
	ready, tell, err := os.Pipe()
	if err != nil {
		return "", fmt.Errorf("start skiff: %w", err)
	}
	defer ready.Close()
	if daemon.Env == nil {
		daemon.Env = os.Environ()
	}
	daemon.Dir = at.dir
	daemon.Stdout, daemon.Stderr = log, log
	detach(daemon)
	number, err := inherit(daemon, tell)
	if err == nil {
		daemon.Env = append(daemon.Env, fmt.Sprintf("%s=%d", readyFDEnv, number))
		err = daemon.Start()
	}
	if err := errors.Join(err, tell.Close()); err != nil {
		return "", fmt.Errorf("start skiff: %w", err)
	}
	if address, err = awaitReady(ctx, daemon, ready); err != nil {
		return "", explainStart(err, log.Name(), begin)
	}
	return address, daemon.Process.Release()
}

// openLog gives the log file, and how long it was, to tell what this start has
// written to it.
func openLog(at place) (*os.File, int64, error) {
	if err := os.MkdirAll(at.dir, 0o700); err != nil {
		return nil, 0, fmt.Errorf("create data directory: %w", err)
	}
	log, err := os.OpenFile(at.paths.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, 0, fmt.Errorf("open log: %w", err)
	}
	info, err := log.Stat()
	if err == nil && info.Size() > maxLog {
		err = log.Truncate(0)
		return log, 0, err
	}
	return log, info.Size(), err
}

var errCrash = errors.New("skiff ended while it started")

// awaitReady gives the daemon's address once it is ready, or its reason not to
// be. errCrash: it gave none.
func awaitReady(ctx context.Context, daemon *exec.Cmd, ready io.Reader) (address string, err error) {
	said := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(io.LimitReader(ready, maxReason))
		said <- strings.TrimSpace(string(text))
	}()
	select {
	case text := <-said:
		if address, ok := strings.CutPrefix(text, readyAt); ok {
			return address, nil
		}
		ended := end(daemon)
		switch text {
		case "":
			return "", fmt.Errorf("%w: %v", errCrash, ended)
		case otherRuns:
			return "", orchestrator.ErrRunning
		}
		return "", errors.New("skiff did not start: " + strings.TrimPrefix(text, "error: "))
	case <-ctx.Done():
		err := terminate(daemon.Process.Pid)
		if err == nil {
			_ = end(daemon) // because it was asked to
		}
		return "", errors.Join(context.Cause(ctx), err)
	}
}

// endPatience is what a daemon that is about to end may take for it.
const endPatience = 5 * time.Second

// end waits for a daemon to end, and has it end where it does not.
func end(daemon *exec.Cmd) error {
	timer := time.AfterFunc(endPatience, func() { _ = daemon.Process.Kill() })
	defer timer.Stop()
	return daemon.Wait()
}

// explainStart adds to a crash what the daemon's log says about it.
func explainStart(err error, log string, begin int64) error {
	if !errors.Is(err, errCrash) {
		return err
	}
	file, openErr := os.Open(log)
	if openErr != nil {
		return err
	}
	defer file.Close()
	text, readErr := io.ReadAll(io.NewSectionReader(file, begin, maxReason))
	if readErr != nil || len(text) == 0 {
		return err
	}
	return fmt.Errorf("%w; its log (%s) says:\n%s", err, log, strings.TrimSpace(string(text)))
}
