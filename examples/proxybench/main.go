// Command proxybench measures skiff's data path beside nginx and HAProxy, over
// loopback, in front of one Go server. All of them share the machine with the
// load, so only ratios within one round mean something: the contestants take
// turns, and the table gives the medians of the rounds.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "proxybench:", err)
		os.Exit(1)
	}
}

// plan is what is measured.
type plan struct {
	rounds   int
	duration time.Duration
	cases    []string
	profile  string
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("proxybench", flag.ContinueOnError)
	var p plan
	var cases, role string
	flags.IntVar(&p.rounds, "rounds", 3, "how often everything is measured")
	flags.DurationVar(&p.duration, "duration", 2*time.Second, "how long each measurement takes")
	flags.StringVar(&cases, "cases", strings.Join(allCases, ","), "what is measured")
	flags.StringVar(&p.profile, "cpuprofile", "", "where skiff's data path writes a CPU profile")
	flags.StringVar(&role, "role", "", "be one of the processes: backend or skiff")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch role {
	case "backend":
		return serveBackend(ctx)
	case "skiff":
		return serveSkiff(ctx, p.profile)
	}
	p.cases = strings.Split(cases, ",")
	stage, err := newStage(ctx, p.profile)
	if err != nil {
		return err
	}
	defer stage.end()
	results, err := measureAll(ctx, stage, p)
	if err != nil {
		return err
	}
	print(os.Stdout, p, results)
	return nil
}
