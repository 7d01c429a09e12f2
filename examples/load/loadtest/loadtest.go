// Package loadtest has clients of every kind use something while a test does
// things to it, and tells the test whatever went wrong for any of them.
package loadtest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"skiff/examples/load"
)

// patience bounds what is waited for. It is far above what anything takes, so
// that a busy machine fails no test.
const patience = 3 * time.Minute

// failuresShown bounds what is said of one load.
const failuresShown = 10

// Clients use something until they are stopped. Its methods may be called at the
// same time, Stop but once.
type Clients struct {
	ctx  context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu       sync.Mutex // guards what follows
	versions map[string]int
	changed  chan struct{} // closed and made anew when a version answers for the first time
	loads    map[string]*load.Result
	errs     []error
}

// New has no clients yet. They end with the test at the latest.
func New(t testing.TB) *Clients {
	ctx, stop := context.WithCancel(t.Context())
	c := &Clients{ctx: ctx, stop: stop, versions: map[string]int{}, changed: make(chan struct{}), loads: map[string]*load.Result{}}
	t.Cleanup(c.end)
	return c
}

// Load begins with a load of a name of its own.
func (c *Clients) Load(name string, o load.Options) {
	c.wg.Go(func() {
		r := load.Run(c.ctx, o, func(s load.Sample) {
			if s.Err == nil {
				c.Answered(s.Version)
			}
		})
		c.mu.Lock()
		defer c.mu.Unlock()
		c.loads[name] = r
	})
}

// Run begins with a client that does f again and again, until f fails. When the
// clients are stopped f's context ends, and what f returns then is no failure.
func (c *Clients) Run(name string, f func(context.Context) error) {
	c.wg.Go(func() {
		for c.ctx.Err() == nil {
			if err := f(c.ctx); err != nil && c.ctx.Err() == nil {
				c.mu.Lock()
				c.errs = append(c.errs, fmt.Errorf("%s: %w", name, err))
				c.mu.Unlock()
				return
			}
		}
	})
}

// Answered counts an answer of a version. Loads do so themselves.
func (c *Clients) Answered(version string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.versions[version]++; c.versions[version] == 1 {
		close(c.changed)
		c.changed = make(chan struct{})
	}
}

// Answers counts those of all versions so far.
func (c *Clients) Answers() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, of := range c.versions {
		n += of
	}
	return n
}

// WaitVersion returns once a version has answered.
func (c *Clients) WaitVersion(t testing.TB, version string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		c.mu.Lock()
		seen, changed := c.versions[version] > 0, c.changed
		c.mu.Unlock()
		if seen {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("version %s never answered", version)
		}
	}
}

// Stop ends the clients. Each failure, and each load without an answer, is an
// error of the test.
func (c *Clients) Stop(t testing.TB) {
	t.Helper()
	c.end()
	for name, r := range c.loads {
		t.Logf("%s: %d, longest wait %v, longest gap %v, by version %v", name, r.Requests(), r.Quantile(1), r.LongestGap(), r.ByVersion())
		if r.Requests() == 0 {
			t.Errorf("%s: none", name)
		}
		failures := r.Failures()
		for _, s := range failures[:min(len(failures), failuresShown)] {
			t.Errorf("%s: failed at %s after %v: %v", name, s.Due.Format("15:04:05.000"), s.Wait, s.Err)
		}
	}
	for _, err := range c.errs {
		t.Error(err)
	}
}

func (c *Clients) end() {
	c.stop()
	c.wg.Wait()
}
