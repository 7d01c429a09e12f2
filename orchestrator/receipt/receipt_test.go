package receipt

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"skiff/proxy/pool"
	"skiff/proxy/switchboard"
)

func took(d time.Duration, n uint64) pool.Histogram {
	h := pool.Histogram{Buckets: map[int]uint64{}, Sum: time.Duration(n) * d}
	for bucket := range 480 {
		one := pool.Histogram{Buckets: map[int]uint64{bucket: 1}}
		if one.Quantile(1) >= d {
			h.Buckets[bucket] = n
			return h
		}
	}
	return h
}

func counts(revisions map[string]pool.Tally) map[string]pool.Counts {
	return map[string]pool.Counts{"80/TCP": {Revisions: revisions}}
}

func TestCount(t *testing.T) {
	t.Parallel()
	begin := switchboard.Counts{
		"default/web": counts(map[string]pool.Tally{
			"web-1": {Answered: [6]uint64{2: 100}, Took: took(9*time.Millisecond, 100)},
			"web-0": {Answered: [6]uint64{2: 7}, Took: took(time.Second, 7)},
			"":      {Failures: [7]uint64{pool.Unavailable: 5}},
		}),
		"default/other": counts(map[string]pool.Tally{"": {Failures: [7]uint64{pool.Unavailable: 50}}}),
	}
	end := switchboard.Counts{
		"default/web": counts(map[string]pool.Tally{
			"web-1":      {Answered: [6]uint64{2: 150}, Took: took(9*time.Millisecond, 150), Drained: [6]uint64{pool.WebSocket: 3}},
			"web-2":      {Answered: [6]uint64{2: 40, 5: 2}, Failures: [7]uint64{pool.Broken: 1, pool.ClientGone: 4}, Retried: 2, Took: took(40*time.Millisecond, 42), Held: took(time.Second, 3)},
			pool.Earlier: {Answered: [6]uint64{2: 7}},
			"":           {Failures: [7]uint64{pool.Unavailable: 6, pool.Refused: 1}},
		}),
		"default/web-too": counts(map[string]pool.Tally{"web-2": {Answered: [6]uint64{0: 10}, Cut: [6]uint64{pool.TCP: 1}}}),
		"default/other":   counts(map[string]pool.Tally{"other-1": {Answered: [6]uint64{2: 1000}}, "": {Failures: [7]uint64{pool.Unavailable: 60}}}),
		"apart/web":       counts(map[string]pool.Tally{"web-2": {Answered: [6]uint64{2: 1000}}}),
	}
	var got Receipt
	got.count(begin, end, "default", []string{"web-1", "web-2"}, "web-1")
	want := Receipt{
		Requests: 50 + 42 + 5 + 2 + 10, Lost: 2, Retried: 2, ServerErrors: 2,
		Failures: map[string]uint64{"broken": 1, "unavailable": 1, "client gone": 4, "refused": 1},
		Faults:   map[string]uint64{"application": 2, "client": 5},
		Held:     3, LongestHoldMillis: got.LongestHoldMillis,
		Drained: map[string]uint64{"ws": 3}, Cut: map[string]uint64{"tcp": 1},
		P99Millis: got.P99Millis, P99BeforeMillis: got.P99BeforeMillis,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for name, span := range map[string][3]float64{
		"longest hold": {1000, got.LongestHoldMillis, 1070}, "p99": {40, got.P99Millis, 43}, "p99 before": {9, got.P99BeforeMillis, 9.7},
	} {
		if span[1] < span[0] || span[1] > span[2] {
			t.Errorf("%s is %v ms", name, span[1])
		}
	}
}

func TestString(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	after := func(d time.Duration) *time.Time {
		at := began.Add(d)
		return &at
	}
	for want, r := range map[string]Receipt{
		"web 1 → 2 | 2.1 s | 48,211 requests, 0 lost, 2 retried | held 0 | ws 3 drained | p99 11 ms (before 9 ms)": {
			Deployment: "web", From: 1, Revision: 2, Ended: after(2100 * time.Millisecond), Requests: 48211, Retried: 2,
			Drained: map[string]uint64{"ws": 3}, P99Millis: 11, P99BeforeMillis: 9,
		},
		"db 1 | 340 ms | 0 requests, 0 lost, 0 retried | held 0": {Deployment: "db", Revision: 1, Ended: after(340 * time.Millisecond)},
		"api 9 → 10 | 1 min 12 s | 1 request, 1 lost (application 1), 0 retried | held 1,234,567 (1.3 s at most) | ws 1 cut | tcp 2 drained, 3 cut | p99 0.4 ms | counted since skiff was started anew": {
			Deployment: "api", From: 9, Revision: 10, Ended: after(72 * time.Second), Requests: 1, Lost: 1, Faults: map[string]uint64{"application": 1, "client": 8},
			Held: 1234567, LongestHoldMillis: 1300, Cut: map[string]uint64{"ws": 1, "tcp": 3}, Drained: map[string]uint64{"tcp": 2}, P99Millis: 0.4, Partial: true,
		},
		"web 2 → 3 | 1.0 s | 100 requests, 3 lost (application 1, probe 2), 0 retried, 4 answered 5xx | held 0": {
			Deployment: "web", From: 2, Revision: 3, Ended: after(time.Second), Requests: 100, Lost: 3, ServerErrors: 4, Faults: map[string]uint64{"probe": 2, "application": 1},
		},
	} {
		r.Began = began
		if got := r.String(); got != want {
			t.Errorf("\ngot  %s\nwant %s", got, want)
		}
	}
}
