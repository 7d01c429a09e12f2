// Package writer is what the examples' database clients have in common: several
// goroutines write numbered records until they are told to stop (SIGTERM, SIGINT
// or -duration), and all that was acknowledged is read back. Each client brings
// its official driver, used as its users do: what that tries again by itself is
// not counted.
package writer

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// Database is where a client writes.
type Database interface {
	Write(ctx context.Context, key string) error
	Has(ctx context.Context, key string) (bool, error)
	// Version is what the server says of itself; upgrades are seen by it.
	Version(ctx context.Context) (string, error)
	Close(ctx context.Context) error
}

// Options are how much is written, and how long.
type Options struct {
	Writers  int
	Interval time.Duration // between two writes of each
	Duration time.Duration
	Forget   bool // do not read back
}

// patience is for one answer of the database: longer than the proxy holds a
// connection for a server that is on its way.
const patience = 40 * time.Second

// Main is a client's main function. Its own flags are to be defined before; open
// is called when all are parsed. One line of JSON says what was seen; the exit
// code is 1 if a write failed or one that was acknowledged is missing.
func Main(o Options, open func(context.Context) (Database, error)) {
	flag.IntVar(&o.Writers, "writers", o.Writers, "how many write at once")
	flag.DurationVar(&o.Interval, "interval", o.Interval, "pause between two writes of each")
	flag.DurationVar(&o.Duration, "duration", 10*time.Minute, "stop by itself after this long")
	flag.BoolVar(&o.Forget, "forget", false, "do not read back: the database keeps nothing over an upgrade")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := tell(ctx, o, open); err != nil {
		fmt.Fprintln(os.Stderr, "client:", err)
		os.Exit(1)
	}
}

func tell(ctx context.Context, o Options, open func(context.Context) (Database, error)) error {
	db, err := open(ctx)
	if err != nil {
		return err
	}
	seen, err := Run(ctx, o, db)
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err = errors.Join(err, db.Close(after))
	out, jsonErr := json.Marshal(seen)
	fmt.Println(string(out))
	return errors.Join(err, jsonErr)
}

// Run writes until ctx ends, then reads back. The error says what is wrong with
// what was seen.
func Run(ctx context.Context, o Options, db Database) (*Report, error) {
	after := context.WithoutCancel(ctx) // what follows the stop must still reach the database
	ctx, cancel := context.WithTimeout(ctx, o.Duration)
	defer cancel()
	seen, run := &Report{}, time.Now().Format("20060102T150405.000000") // the database may have other runs' records
	var wg sync.WaitGroup
	for w := range o.Writers {
		wg.Go(func() {
			tick := time.NewTicker(o.Interval)
			defer tick.Stop()
			for n := 0; ; n++ {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				seen.write(after, db, fmt.Sprintf("%s-%d-%d", run, w, n))
				if w == 0 {
					seen.meet(after, db)
				}
			}
		})
	}
	wg.Wait()
	if o.Forget {
		return seen, seen.written()
	}
	return seen, errors.Join(seen.readBack(after, db), seen.written(), seen.missing())
}
