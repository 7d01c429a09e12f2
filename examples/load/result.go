package load

import (
	"slices"
	"sync"
	"time"
)

// Sample is one request and what became of it.
type Sample struct {
	Due     time.Time
	Wait    time.Duration // from Due to the last byte of the answer
	Version string        // the answer's X-Version
	Err     error
}

// Result counts what a load saw. Its methods may be called while it runs.
type Result struct {
	mu        sync.Mutex
	waits     []time.Duration
	failures  []Sample
	byVersion map[string]int
	last      map[string]time.Time // when a version answered last
	success   time.Time            // when anything was answered last
	gap       time.Duration
}

func newResult() *Result {
	return &Result{byVersion: map[string]int{}, last: map[string]time.Time{}, success: time.Now()}
}

func (r *Result) add(s Sample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waits = append(r.waits, s.Wait)
	if s.Err != nil {
		r.failures = append(r.failures, s)
		return
	}
	now := s.Due.Add(s.Wait)
	r.byVersion[s.Version]++
	r.last[s.Version] = later(r.last[s.Version], now)
	r.gap = max(r.gap, now.Sub(r.success))
	r.success = later(r.success, now)
}

func (r *Result) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.Sort(r.waits)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Requests is how many were sent and ended, one way or the other.
func (r *Result) Requests() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.waits)
}

// Failures are the requests without a good answer.
func (r *Result) Failures() []Sample {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.failures)
}

// ByVersion is how many good answers each version gave.
func (r *Result) ByVersion() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := make(map[string]int, len(r.byVersion))
	for v, n := range r.byVersion {
		m[v] = n
	}
	return m
}

// LastAnswer is when a version answered last; zero if it never did.
func (r *Result) LastAnswer(version string) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last[version]
}

// LongestGap is the longest time without any good answer.
func (r *Result) LongestGap() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gap
}

// Quantile gives the wait that the share q of all requests stayed within. It
// is valid once Run has returned; Quantile(1) is the longest wait.
func (r *Result) Quantile(q float64) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waits) == 0 {
		return 0
	}
	return r.waits[int(q*float64(len(r.waits)-1))]
}
