package pool

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"
)

func TestBuckets(t *testing.T) {
	t.Parallel()
	for bucket := range bucketsOf - 1 {
		end := upTo(bucket)
		if at, next := bucketOf(end-1), bucketOf(end); at != bucket || next != bucket+1 {
			t.Fatalf("bucket %d ends at %s: what is just below lies in %d, the end itself in %d", bucket, end, at, next)
		}
	}
	for d, want := range map[time.Duration]int{-time.Second: 0, 0: 0, 1000 * time.Hour: bucketsOf - 1} {
		if got := bucketOf(d); got != want {
			t.Errorf("%s lies in bucket %d, want %d", d, got, want)
		}
	}
	if longest := upTo(bucketsOf - 2); longest < time.Hour {
		t.Errorf("longer than %s is not told apart", longest)
	}
}

func TestQuantiles(t *testing.T) {
	t.Parallel()
	var r recorder
	if q := r.read().Quantile(0.99); q != 0 {
		t.Errorf("of nothing: %s", q)
	}
	for i := range 1000 {
		r.record(time.Duration(i+1) * time.Millisecond)
	}
	h := r.read()
	for q, want := range map[float64]time.Duration{0: 1e6, 0.5: 500e6, 0.99: 990e6, 1: 1000e6} {
		if got := h.Quantile(q); got < want || got > want*17/16+2*time.Microsecond {
			t.Errorf("quantile %v is %s, want at most a sixteenth above %s", q, got, want)
		}
	}
	if h.Count() != 1000 || h.Sum != 500500*time.Millisecond {
		t.Errorf("%d values, %s in all", h.Count(), h.Sum)
	}
	if n := h.Within(500 * time.Millisecond); n > 500 || n < 460 {
		t.Errorf("%d within half a second", n)
	}
	r.record(3 * time.Millisecond)
	since := r.read().Minus(h)
	if since.Count() != 1 || since.Sum != 3*time.Millisecond {
		t.Errorf("since: %+v", since)
	}
	if sum := since.Plus(h); !reflect.DeepEqual(sum, r.read()) {
		t.Errorf("the sum of before and since is %+v", sum)
	}
	text, err := json.Marshal(h)
	var again Histogram
	if err == nil {
		err = json.Unmarshal(text, &again)
	}
	if err != nil || !reflect.DeepEqual(h, again) {
		t.Errorf("%v: %s became %+v", err, text, again)
	}
}

// What belongs to old revisions is put together, and nothing of it gets lost.
func TestRevisionsAreBounded(t *testing.T) {
	t.Parallel()
	p := New(Options{Dial: refused})
	const all = 5 * maxRevisions
	for i := range all {
		p.Replace([]Member{{ID: fmt.Sprint("pod-", i), Address: "a:1", Revision: fmt.Sprint("revision-", i)}}, Expectation{})
		claim(t, p).finish()
		c := claim(t, p)
		p.Failed(c, Broken)
		c.Release()
		p.Failed(c, Broken) // once is enough
	}
	counts := p.Counts()
	if n := counts.Revisions[""].Requests(); n != 0 {
		t.Errorf("%d count as never having had a back end", n)
	}
	if n := len(counts.Revisions); n > maxRevisions+4 {
		t.Errorf("%d revisions are kept", n)
	}
	if len(counts.Backends) != 1 || counts.Backends[fmt.Sprint("pod-", all-1)] != (BackendCount{Requests: 2, Failed: 1}) {
		t.Errorf("back ends: %+v", counts.Backends)
	}
	if newest := counts.Revisions[fmt.Sprint("revision-", all-1)]; newest.Requests() != 2 {
		t.Errorf("the newest counted %+v", newest)
	}
	if s := p.Snapshot(); s.Requests() != 2*all || s.Failures[Broken] != all || s.Answered[2] != all || s.Took.Count() != all {
		t.Errorf("together: %+v", s.Tally)
	}
}

func (c *Claim) finish() {
	c.Answered(200)
	c.Release()
}

// A request counts as retried once, however many back ends were tried.
func TestRetriedRequestsAreCountedOnce(t *testing.T) {
	t.Parallel()
	p := New(Options{Dial: refused})
	p.Add("a", "a:1")
	var last *Claim
	for range 3 {
		next, err := p.Claim(t.Context(), last)
		if err != nil {
			t.Fatal(err)
		}
		next.Release()
		last = next
	}
	last.Answered(204)
	last.Answered(204)
	if s := p.Snapshot(); s.Retried != 1 || s.Requests() != 1 {
		t.Errorf("%d of %d were retried", s.Retried, s.Requests())
	}
}

func BenchmarkCount(b *testing.B) {
	p := New(Options{})
	p.Add("a", "a:1")
	backend := p.members["a"]
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c := Claim{backend: backend, since: time.Now()}
			c.Answered(200)
		}
	})
}
