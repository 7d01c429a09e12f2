// Command demo shows skiff's main job on this machine: it deploys, upgrades,
// breaks and rolls back a web server under load, then upgrades a database under
// a writing client. It runs the skiff command as a user would, in an instance
// of its own that it removes at the end, and exits with 1 if anything was lost.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"skiff/examples/load"
)

func main() {
	app := &cli.App{
		Name:  "demo",
		Usage: "deploy, upgrade, break and roll back under load, and see that nothing is lost",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "skiff", Value: "bin/skiff", Usage: "the skiff binary"},
			&cli.StringFlag{Name: "mongo-client", Value: "bin/mongo-client", Usage: "the database's client"},
			&cli.StringFlag{Name: "examples", Value: "examples", Usage: "the folder of the manifests"},
			&cli.IntFlag{Name: "rate", Value: 500, Usage: "requests per second"},
		},
		HideHelpCommand: true,
		Action: func(c *cli.Context) error {
			return run(c.Context, c.String("skiff"), c.String("mongo-client"), c.String("examples"), c.Int("rate"))
		},
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := app.RunContext(ctx, os.Args); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, skiff, mongo, examples string, rate int) (err error) {
	dir, err := os.MkdirTemp("", "skiff-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	i := instance{skiff: skiff, name: "demo", dataDir: filepath.Join(dir, "data")}

	say("An instance of its own")
	defer func() {
		say("Cleaning up")
		// Also after an interrupt: nothing of the demo may stay behind.
		err = errors.Join(err, i.show(context.WithoutCancel(ctx), "down", "--purge"))
	}()
	if err := i.show(ctx, "up", "--detach", "--listen", "127.0.0.1:0"); err != nil {
		return err
	}
	var t table
	if err := demoWeb(ctx, i, examples, rate, &t); err != nil {
		return err
	}
	if err := demoMongo(ctx, i, mongo, examples, dir, &t); err != nil {
		return err
	}
	t.print(os.Stdout)
	return t.verdict()
}

// demoWeb deploys version 1 and, under load, moves to 2, fails to move to a
// broken version and goes back.
func demoWeb(ctx context.Context, i instance, examples string, rate int, t *table) error {
	say("Version 1 of examples/web, 3 replicas")
	if err := i.show(ctx, "apply", "-f", filepath.Join(examples, "web", "web.yaml")); err != nil {
		return err
	}
	if err := i.show(ctx, "rollout", "status", "deployment/web"); err != nil {
		return err
	}
	address, err := i.address(ctx, "web")
	if err != nil {
		return err
	}
	say(fmt.Sprintf("Load: %d requests per second on http://%s, half of them on connections of their own", rate, address))
	loadCtx, stopLoad := context.WithCancel(ctx)
	defer stopLoad()
	result := make(chan *load.Result, 1)
	go func() {
		result <- load.Run(loadCtx, load.Options{Address: address, Rate: rate, Fresh: 0.5}, nil)
	}()
	err = upgradeWeb(ctx, i, t)
	stopLoad()
	t.web = <-result
	return err
}

func upgradeWeb(ctx context.Context, i instance, t *table) error {
	if err := breathe(ctx); err != nil {
		return err
	}
	say("Version 2")
	took, err := i.rollout(ctx, "set", "image", "deployment/web", "web=skiff-example/web:2")
	if err != nil {
		return err
	}
	t.add("web 1 → 2", took, "")
	if err := breathe(ctx); err != nil {
		return err
	}

	say("A version that never becomes ready: version 2 must serve on")
	took, err = i.rollout(ctx, "set", "image", "deployment/web", "web=skiff-example/web:broken")
	var failed rolloutError
	if !errors.As(err, &failed) {
		return errors.Join(errors.New("the rollout of a version that never becomes ready did not fail"), err)
	}
	t.add("web 2 → broken", took, "refused: "+failed.reason)

	say("Back")
	took, err = i.rollout(ctx, "rollout", "undo", "deployment/web")
	if err != nil {
		return err
	}
	t.add("web broken → 2", took, "undo")
	return breathe(ctx)
}

// demoMongo upgrades a database with one replica and strategy Recreate while a
// client writes: the client must see a pause and no error.
func demoMongo(ctx context.Context, i instance, client, examples, dir string, t *table) error {
	say("A database: examples/mongo, one replica, strategy Recreate")
	manifest, err := mongoManifest(filepath.Join(examples, "mongo", "mongo.yaml"), dir)
	if err != nil {
		return err
	}
	if err := i.show(ctx, "apply", "-f", manifest); err != nil {
		return err
	}
	if err := i.show(ctx, "rollout", "status", "deployment/mongo"); err != nil {
		return err
	}
	address, err := i.address(ctx, "mongo")
	if err != nil {
		return err
	}
	say("A client writes numbered documents through the official driver")
	writing, err := startClient(ctx, client, address)
	if err != nil {
		return err
	}
	err = upgradeMongo(ctx, i, t)
	report, clientErr := writing.stop()
	t.mongo = report
	return errors.Join(err, clientErr)
}

func upgradeMongo(ctx context.Context, i instance, t *table) error {
	if err := breathe(ctx); err != nil {
		return err
	}
	took, err := i.rollout(ctx, "set", "image", "deployment/mongo", "db=mongo:3.5")
	if err != nil {
		return err
	}
	t.add("mongo 3.3 → 3.5", took, "Recreate")
	return breathe(ctx)
}

// breathe lets the load run for a while, so that a person can see it.
func breathe(ctx context.Context) error {
	select {
	case <-time.After(2 * time.Second):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func say(line string) { fmt.Printf("\n── %s\n", line) }
