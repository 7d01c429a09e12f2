// Command soak keeps many connections of every kind on three Services for a
// long time and replaces all of their Pods again and again. It says how many
// goroutines, descriptors and how much memory the daemon and the gateway had
// before and after, and exits with 1 if anything was lost or has leaked. It
// runs the skiff command as a user would, in an instance of its own that it
// removes at the end.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	var o options
	flag.StringVar(&o.skiff, "skiff", "bin/skiff", "the skiff binary")
	flag.StringVar(&o.manifest, "manifest", "examples/protocols/protocols.yaml", "the application")
	flag.DurationVar(&o.time, "time", 15*time.Minute, "how long")
	flag.IntVar(&o.conns, "conns", 10_000, "connections at once")
	flag.IntVar(&o.rollouts, "rollouts", 60, "how often all Pods of all Services are replaced")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

type options struct {
	skiff, manifest string
	time            time.Duration
	conns, rollouts int
}

func run(ctx context.Context, o options) (err error) {
	if err := enoughDescriptors(o.conns); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "skiff-soak-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	i := instance{skiff: o.skiff, name: fmt.Sprintf("soak-%d", os.Getpid()), dataDir: filepath.Join(dir, "data")}
	// Also after an interrupt: nothing may stay behind.
	defer func() { err = errors.Join(err, i.do(context.WithoutCancel(ctx), nil, "down", "--purge")) }()
	if err := i.do(ctx, nil, "up", "--detach", "--listen", "127.0.0.1:0"); err != nil {
		return err
	}
	addresses, err := i.deploy(ctx, o.manifest)
	if err != nil {
		return err
	}
	look, err := newLook(ctx, i)
	if err != nil {
		return err
	}
	before, err := look.now(ctx)
	if err != nil {
		return err
	}
	clients := start(ctx, addresses, o.conns)
	loaded, rolled := soak(ctx, i, o, look, clients)
	clients.stop()
	after, err := look.settled(ctx, i, before)
	if err = errors.Join(rolled, err); err != nil {
		return err
	}
	tell(before, loaded, after, clients)
	return errors.Join(clients.verdict(), leaks(before, after))
}

// soak replaces all Pods at even intervals, and gives the figures after the
// first time, when all that is made on demand has been made.
func soak(ctx context.Context, i instance, o options, look *look, clients *clients) (loaded figures, err error) {
	every := time.NewTicker(o.time / time.Duration(o.rollouts+1))
	defer every.Stop()
	for n := 1; n <= o.rollouts+1; n++ {
		select {
		case <-every.C:
		case <-ctx.Done():
			return loaded, ctx.Err()
		}
		if n > o.rollouts {
			break // a last interval, for what the last rollout did
		}
		began := time.Now()
		if err := i.replaceAll(ctx); err != nil {
			return loaded, err
		}
		now, err := look.now(ctx)
		if err != nil {
			return loaded, err
		}
		if n == 1 {
			loaded = now
		}
		fmt.Printf("rollout %d of %d: %.1f s; %s; daemon %s; gateway %s\n", n, o.rollouts, time.Since(began).Seconds(), clients, now.daemon, now.gateway)
	}
	return loaded, nil
}

// enoughDescriptors: this program has one for each connection, and the daemon
// two for each that goes through it.
func enoughDescriptors(conns int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	if need := uint64(conns)*3/2 + 1000; limit.Cur < need {
		return fmt.Errorf("%d connections need a limit of %d open files, here it is %d: raise it (ulimit -n) or use fewer", conns, need, limit.Cur)
	}
	return nil
}
