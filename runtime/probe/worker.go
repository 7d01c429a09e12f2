package probe

import (
	"context"
	"fmt"
	"time"
)

// How long after a try that failed the next early one is made: the first very
// soon, for a small server is up within milliseconds of its start, and then at
// growing distance up to the longest. Running a command costs the engine about
// as much as half a container's start, so those keep more distance.
const (
	shortestEarlyPause = 5 * time.Millisecond
	longestEarlyPause  = 25 * time.Millisecond
	earlyExecPause     = 250 * time.Millisecond
)

// Reasons of the events that tries give rise to, as the kubelet's.
const (
	ReasonUnhealthy = "Unhealthy"
	ReasonWarning   = "ProbeWarning"
)

// Report is what a probe has to tell after a try: that its verdict has
// changed, that the try is worth an event, or both.
type Report struct {
	Healthy bool   // the verdict, by the probe's thresholds
	Changed bool   // it was another one before
	Reason  string // of the event; empty: none
	Message string // of the event
}

// Run tries until ctx ends, and tells. A startup probe is over with its first
// verdict and a liveness probe when it has failed: the container is restarted,
// and the next attempt has probes of its own. Until told otherwise a container
// is live, but not ready, and not started.
//
// From the initial delay on, tries go out in quick succession until one
// succeeds or the first period is over. They make a container ready as soon as
// it is and mean nothing when they fail. Then the kubelet's rhythm begins. A
// liveness probe has nothing to gain from early tries and waits for the first
// period's end.
func (p *Prober) Run(ctx context.Context, t Target, tell func(Report)) {
	w := worker{prober: p, target: t, tell: tell, count: newCount(t)}
	defer w.stopTimer()
	begin := t.StartedAt.Add(time.Duration(t.Probe.InitialDelaySeconds) * time.Second)
	if now := time.Now(); begin.Before(now) {
		begin = now
	}
	period := seconds(t.Probe.PeriodSeconds)
	next := begin.Add(period)
	switch {
	case t.Healthy && t.Kind != Liveness:
		next = begin
	case t.Kind != Liveness:
		if !w.until(ctx, begin) {
			return
		}
		if w.early(ctx, next) {
			next = time.Now().Add(period)
		}
	}
	for !w.over() && w.until(ctx, next) {
		w.regular(ctx)
		// A try that took longer than a period does not make up for the lost
		// ones, like any ticker.
		for next = next.Add(period); next.Before(time.Now()); {
			next = next.Add(period)
		}
	}
}

type worker struct {
	prober *Prober
	target Target
	tell   func(Report)
	count  count
	timer  *time.Timer
}

// until waits for a moment, and says whether it came before ctx's end.
func (w *worker) until(ctx context.Context, moment time.Time) bool {
	if w.timer == nil {
		w.timer = time.NewTimer(time.Until(moment))
	} else {
		w.timer.Reset(time.Until(moment))
	}
	select {
	case <-w.timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

func (w *worker) stopTimer() {
	if w.timer != nil {
		w.timer.Stop()
	}
}

// early makes tries until one succeeds, which counts, or the deadline.
func (w *worker) early(ctx context.Context, deadline time.Time) bool {
	pause, longest := shortestEarlyPause, longestEarlyPause
	if w.target.Probe.Exec != nil {
		pause, longest = earlyExecPause, earlyExecPause
	}
	for ; ; pause = min(2*pause, longest) {
		result, text := w.prober.Try(ctx, w.target)
		if ctx.Err() != nil {
			return false
		}
		if result == Success || result == Warning {
			w.report(result, text)
			return true
		}
		moment := time.Now().Add(pause)
		if !moment.Before(deadline) || !w.until(ctx, moment) {
			return false
		}
	}
}

func (w *worker) regular(ctx context.Context) {
	result, text := w.prober.Try(ctx, w.target)
	if ctx.Err() == nil { // else the try was cut short and shows nothing
		w.report(result, text)
	}
}

func (w *worker) report(result Result, text string) {
	changed := w.count.add(result)
	r := Report{Healthy: w.count.verdict == healthy, Changed: changed}
	switch result {
	case Failure:
		r.Reason, r.Message = ReasonUnhealthy, fmt.Sprintf("%s probe failed: %s", w.target.Kind, text)
	case Warning:
		r.Reason, r.Message = ReasonWarning, fmt.Sprintf("%s probe warning: %s", w.target.Kind, text)
	case Unknown:
		r.Reason, r.Message = ReasonUnhealthy, fmt.Sprintf("%s probe errored and resulted in %s state: %s", w.target.Kind, result, text)
	}
	if r.Changed || r.Reason != "" {
		w.tell(r)
	}
}

func (w *worker) over() bool {
	switch w.target.Kind {
	case Startup:
		return w.count.verdict != undecided
	case Liveness:
		return w.count.verdict == unhealthy
	}
	return false
}

type verdict int

const (
	undecided verdict = iota
	healthy
	unhealthy
)

// count turns results into a verdict: so many equal ones in a row change it,
// and the opposite result begins the row anew.
type count struct {
	succeed, fail int // rows' lengths
	last          bool
	run           int
	verdict       verdict
}

func newCount(t Target) count {
	c := count{
		succeed: max(1, int(t.Probe.SuccessThreshold)),
		fail:    max(1, int(t.Probe.FailureThreshold)),
	}
	switch {
	case t.Healthy || t.Kind == Liveness:
		c.verdict = healthy
	case t.Kind == Readiness:
		c.verdict = unhealthy
	}
	return c
}

// add counts a result and says whether the verdict changed.
func (c *count) add(r Result) bool {
	if r == Unknown {
		return false
	}
	good := r != Failure
	if good != c.last {
		c.last, c.run = good, 0
	}
	c.run++
	verdict, needed := unhealthy, c.fail
	if good {
		verdict, needed = healthy, c.succeed
	}
	if c.run < needed || c.verdict == verdict {
		return false
	}
	c.verdict = verdict
	return true
}
