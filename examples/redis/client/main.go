// Command client writes numbered keys to Redis through its official Go client,
// from several goroutines, until it is told to stop (SIGTERM, SIGINT or
// -duration). Then it reads all of them back. It prints one line of JSON with
// what it saw and exits with 1 if a write failed or one that was acknowledged
// is missing. The driver is used as it comes: what it tries again by itself is
// not counted.
package main

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

	"github.com/redis/go-redis/v9"
)

func main() {
	address := flag.String("address", "127.0.0.1:6379", "the database")
	writers := flag.Int("writers", 8, "how many write at once")
	interval := flag.Duration("interval", 5*time.Millisecond, "pause between two writes of each")
	duration := flag.Duration("duration", 10*time.Minute, "stop by itself after this long")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, *duration)
	defer cancel()
	seen, err := run(ctx, *address, *writers, *interval)
	if out, jsonErr := json.Marshal(seen); jsonErr == nil {
		fmt.Println(string(out))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "client:", err)
		os.Exit(1)
	}
}

// report is what the client saw.
type report struct {
	mu sync.Mutex

	Acknowledged  []string `json:"-"` // the keys
	Writes        int      `json:"writes"`
	Failed        int      `json:"failed"`
	Errors        []string `json:"errors,omitempty"` // the first ten
	LongestWaitMs int64    `json:"longestWaitMs"`
	Found         int      `json:"found"`
}

func run(ctx context.Context, address string, writers int, interval time.Duration) (*report, error) {
	client := redis.NewClient(&redis.Options{Addr: address})
	defer client.Close()
	after := context.WithoutCancel(ctx) // what follows the stop must still reach the database
	seen := &report{}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			tick := time.NewTicker(interval)
			defer tick.Stop()
			for n := 0; ; n++ {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				key := fmt.Sprintf("writer-%d-%d", w, n)
				began := time.Now()
				seen.count(key, client.Set(after, key, key, 0).Err(), time.Since(began))
			}
		})
	}
	wg.Wait()
	return seen, errors.Join(seen.readBack(after, client), seen.verdict())
}

func (r *report) count(key string, err error, wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.LongestWaitMs = max(r.LongestWaitMs, wait.Milliseconds())
	if err == nil {
		r.Acknowledged = append(r.Acknowledged, key)
		r.Writes++
		return
	}
	r.Failed++
	if len(r.Errors) < 10 {
		r.Errors = append(r.Errors, time.Now().UTC().Format("15:04:05.000 ")+err.Error())
	}
}

// readBack looks for every key that was acknowledged.
func (r *report) readBack(ctx context.Context, client *redis.Client) error {
	for _, key := range r.Acknowledged {
		value, err := client.Get(ctx, key).Result()
		switch {
		case err == nil && value == key:
			r.Found++
		case err != nil && !errors.Is(err, redis.Nil):
			return fmt.Errorf("read %s back: %w", key, err)
		}
	}
	return nil
}

func (r *report) verdict() error {
	switch {
	case r.Failed > 0 || r.Writes == 0:
		return fmt.Errorf("%d writes acknowledged, %d failed", r.Writes, r.Failed)
	case r.Found < r.Writes:
		return fmt.Errorf("%d of %d acknowledged writes are missing", r.Writes-r.Found, r.Writes)
	}
	return nil
}
