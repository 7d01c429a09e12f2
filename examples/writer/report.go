package writer

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"
)

// Report is what a client saw.
type Report struct {
	mu   sync.Mutex
	keys []string // acknowledged

	Acknowledged  int      `json:"acknowledged"`
	Failed        int      `json:"failed"`
	Errors        []string `json:"errors,omitempty"` // the first ten
	LongestWaitMs int64    `json:"longestWaitMs"`
	Found         int      `json:"found"`
	Versions      []string `json:"versions"` // of the server, in the order they were met
}

func (r *Report) write(ctx context.Context, db Database, key string) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	began := time.Now()
	err := db.Write(ctx, key)
	wait := time.Since(began)

	r.mu.Lock()
	defer r.mu.Unlock()
	r.LongestWaitMs = max(r.LongestWaitMs, wait.Milliseconds())
	if err == nil {
		r.keys = append(r.keys, key)
		r.Acknowledged++
		return
	}
	r.Failed++
	if len(r.Errors) < 10 {
		r.Errors = append(r.Errors, time.Now().UTC().Format("15:04:05.000 ")+err.Error())
	}
}

// meet notes the server's version when it is another one than before, and says
// so at once.
func (r *Report) meet(ctx context.Context, db Database) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	version, err := db.Version(ctx)
	if err != nil {
		return // the writes tell how the server is
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if last := len(r.Versions) - 1; last < 0 || r.Versions[last] != version {
		r.Versions = append(r.Versions, version)
		fmt.Fprintln(os.Stderr, "met", version)
	}
}

// readBack looks for every record that was acknowledged.
func (r *Report) readBack(ctx context.Context, db Database) error {
	for _, key := range r.keys {
		within, cancel := context.WithTimeout(ctx, patience)
		there, err := db.Has(within, key)
		cancel()
		if err != nil {
			return fmt.Errorf("read %s back: %w", key, err)
		}
		if there {
			r.Found++
		}
	}
	return nil
}

func (r *Report) written() error {
	if r.Failed > 0 || r.Acknowledged == 0 {
		return fmt.Errorf("%d writes acknowledged, %d failed", r.Acknowledged, r.Failed)
	}
	return nil
}

func (r *Report) missing() error {
	if r.Found < r.Acknowledged {
		return fmt.Errorf("%d of %d acknowledged writes are missing", r.Acknowledged-r.Found, r.Acknowledged)
	}
	return nil
}
