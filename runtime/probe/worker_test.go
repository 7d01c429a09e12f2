package probe

import (
	"context"
	"errors"
	"net"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const (
	second  = time.Second
	refused = "connection refused"
)

// script is a server that is up during the given times after the start.
type script struct {
	began time.Time
	up    []span
	tries []time.Duration
}

type span struct{ from, to time.Duration }

func (s *script) dial(context.Context, string, string) (net.Conn, error) {
	now := time.Since(s.began)
	s.tries = append(s.tries, now)
	for _, u := range s.up {
		if now >= u.from && now < u.to {
			here, there := net.Pipe()
			there.Close()
			return here, nil
		}
	}
	return nil, syscall.ECONNREFUSED
}

// told is a report and when it came.
type told struct {
	At      time.Duration
	Healthy bool
	Changed bool
	Message string
}

func probeOf(set func(*corev1.Probe)) *corev1.Probe {
	p := &corev1.Probe{
		ProbeHandler:   corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(80)}},
		TimeoutSeconds: 1, PeriodSeconds: 10, SuccessThreshold: 1, FailureThreshold: 3,
	}
	if set != nil {
		set(p)
	}
	return p
}

func TestRun(t *testing.T) {
	const ready, live, started = "Readiness probe failed: " + refused, "Liveness probe failed: " + refused, "Startup probe failed: " + refused
	for name, c := range map[string]struct {
		kind    Kind
		set     func(*corev1.Probe)
		started time.Duration // how long the container has run already
		healthy bool
		up      []span
		length  time.Duration
		want    []told
	}{
		"ready at once": {
			kind: Readiness, up: []span{{0, time.Hour}}, length: 60 * second,
			want: []told{{0, true, true, ""}},
		},
		"ready as soon as it is, and early failures are not told": {
			kind: Readiness, up: []span{{1015 * time.Millisecond, time.Hour}}, length: 60 * second,
			want: []told{{1035 * time.Millisecond, true, true, ""}},
		},
		"early tries end with the first period": {
			kind: Readiness, up: []span{{21 * second, time.Hour}}, length: 60 * second,
			want: []told{{10 * second, false, false, ready}, {20 * second, false, false, ready}, {30 * second, true, true, ""}},
		},
		"initial delay": {
			kind: Readiness, set: func(p *corev1.Probe) { p.InitialDelaySeconds = 5 },
			up: []span{{0, time.Hour}}, length: 60 * second,
			want: []told{{5 * second, true, true, ""}},
		},
		"initial delay counts from the start": {
			kind: Readiness, set: func(p *corev1.Probe) { p.InitialDelaySeconds = 5 }, started: 3 * second,
			up: []span{{0, time.Hour}}, length: 60 * second,
			want: []told{{2 * second, true, true, ""}},
		},
		"unready after three failures, ready again after one success": {
			kind: Readiness, up: []span{{0, 15 * second}, {45 * second, time.Hour}}, length: 65 * second,
			want: []told{
				{0, true, true, ""},
				{20 * second, true, false, ready}, {30 * second, true, false, ready}, {40 * second, false, true, ready},
				{50 * second, true, true, ""},
			},
		},
		"a success in between begins the row anew": {
			kind: Readiness, up: []span{{0, 5 * second}, {25 * second, 35 * second}}, length: 55 * second,
			want: []told{
				{0, true, true, ""},
				{10 * second, true, false, ready}, {20 * second, true, false, ready},
				{40 * second, true, false, ready}, {50 * second, true, false, ready},
			},
		},
		"two successes": {
			kind: Readiness, set: func(p *corev1.Probe) { p.SuccessThreshold = 2 }, up: []span{{0, time.Hour}}, length: 60 * second,
			want: []told{{10 * second, true, true, ""}},
		},
		"ready before skiff was restarted": {
			kind: Readiness, healthy: true, started: time.Hour, up: []span{{0, 5 * second}}, length: 35 * second,
			want: []told{{10 * second, true, false, ready}, {20 * second, true, false, ready}, {30 * second, false, true, ready}},
		},
		"live until it fails three times, then no more": {
			kind: Liveness, up: []span{{0, 15 * second}}, length: time.Hour,
			want: []told{{20 * second, true, false, live}, {30 * second, true, false, live}, {40 * second, false, true, live}},
		},
		"never live": {
			kind: Liveness, set: func(p *corev1.Probe) { p.FailureThreshold, p.PeriodSeconds = 1, 2 }, length: time.Hour,
			want: []told{{2 * second, false, true, live}},
		},
		"started": {
			kind: Startup, up: []span{{40 * time.Millisecond, time.Hour}}, length: time.Hour,
			want: []told{{60 * time.Millisecond, true, true, ""}},
		},
		"never started": {
			kind: Startup, set: func(p *corev1.Probe) { p.FailureThreshold = 2 }, length: time.Hour,
			want: []told{{10 * second, false, false, started}, {20 * second, false, true, started}},
		},
		"settings that are zero": {
			kind: Liveness, set: func(p *corev1.Probe) {
				p.PeriodSeconds, p.FailureThreshold, p.SuccessThreshold, p.TimeoutSeconds = 0, 0, 0, 0
			}, length: time.Hour,
			want: []told{{second, false, true, live}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &script{began: time.Now(), up: c.up}
				ctx, cancel := context.WithTimeout(t.Context(), c.length)
				defer cancel()
				var got []told
				New(s.dial, nil).Run(ctx, Target{
					Kind: c.kind, Probe: probeOf(c.set), Host: "10.0.0.1",
					StartedAt: s.began.Add(-c.started), Healthy: c.healthy,
				}, func(r Report) {
					got = append(got, told{time.Since(s.began), r.Healthy, r.Changed, r.Message})
				})
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("told (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestRhythm pins when tries go out.
func TestRhythm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &script{began: time.Now(), up: []span{{60 * time.Millisecond, time.Hour}}}
		ctx, cancel := context.WithTimeout(t.Context(), 25*second)
		defer cancel()
		New(s.dial, nil).Run(ctx, Target{Kind: Readiness, Probe: probeOf(nil), StartedAt: s.began}, func(Report) {})
		ms := time.Millisecond
		if want := []time.Duration{0, 5 * ms, 15 * ms, 35 * ms, 60 * ms, 10060 * ms, 20060 * ms}; !slices.Equal(s.tries, want) {
			t.Errorf("tries at %v, want %v", s.tries, want)
		}
	})
}

// TestSlowTries: a try that takes longer than a period loses the ones between.
func TestSlowTries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var tries []time.Duration
		dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
			tries = append(tries, time.Since(began))
			<-ctx.Done()
			return nil, ctx.Err()
		}
		ctx, cancel := context.WithTimeout(t.Context(), 12*second)
		defer cancel()
		p := probeOf(func(p *corev1.Probe) { p.PeriodSeconds, p.TimeoutSeconds = 2, 3 })
		New(dial, nil).Run(ctx, Target{Kind: Liveness, Probe: p, StartedAt: began}, func(Report) {})
		if want := []time.Duration{2 * second, 6 * second, 10 * second}; !slices.Equal(tries, want) {
			t.Errorf("tries at %v, want %v", tries, want)
		}
	})
}

// TestErrors: a try that shows nothing is told and does not count.
func TestErrors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var tries []time.Duration
		exec := func(context.Context, string, []string) ([]byte, int, error) {
			tries = append(tries, time.Since(began))
			return nil, 0, errors.New("engine is busy")
		}
		p := probeOf(func(p *corev1.Probe) {
			p.ProbeHandler = corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"true"}}}
			p.PeriodSeconds, p.FailureThreshold = 1, 1
		})
		ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
		defer cancel()
		var got []Report
		New(nil, exec).Run(ctx, Target{Kind: Readiness, Probe: p, StartedAt: began}, func(r Report) { got = append(got, r) })
		const text = "Readiness probe errored and resulted in unknown state: engine is busy"
		want := []Report{{Reason: ReasonUnhealthy, Message: text}, {Reason: ReasonUnhealthy, Message: text}, {Reason: ReasonUnhealthy, Message: text}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
		ms := time.Millisecond
		if want := []time.Duration{0, 250 * ms, 500 * ms, 750 * ms, second, 2 * second, 3 * second}; !slices.Equal(tries, want) {
			t.Errorf("tries at %v, want %v: commands keep more distance", tries, want)
		}
	})
}

// TestCutShort: a try that ends with the context shows nothing.
func TestCutShort(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		p := probeOf(func(p *corev1.Probe) { p.PeriodSeconds, p.FailureThreshold = 1, 1 })
		New(dial, nil).Run(ctx, Target{Kind: Liveness, Probe: p, StartedAt: time.Now()}, func(r Report) {
			t.Errorf("told %+v", r)
		})
	})
}
