package node

import (
	"context"
	"errors"
	"slices"

	"skiff/runtime/container"
)

// While the engine does not answer, nothing is asked of it: Pods stay what they
// are, those whose containers it has ended get no requests, and what it did to
// them when it ended is nobody's crash.

// needsEngine are the jobs that can only fail without it.
var needsEngine = []op{
	opMount, opMeasure, opImage, opStart, opStandBy, opInspect, opReconnect, opPreStop, opStop, opQuell, opRemoveOld, opSweep, opRemove, opUnmount,
}

// held says whether a job must wait until the engine is back.
func (s *state) held(o op) bool { return s.outage && slices.Contains(needsEngine, o) }

// engineEvent passes on what becomes of the engine.
func (w *Worker) engineEvent(ctx context.Context, action string) {
	lost := action == container.EngineLost
	if w.outage.Swap(lost) == lost {
		return
	}
	if lost {
		w.Log.Warn("the container engine does not answer; Pods are left as they are until it does")
	} else {
		w.Log.Info("the container engine answers again")
	}
	select {
	case w.engineChanged <- struct{}{}:
	default: // keepNode has not looked since the last one
	}
	for _, p := range w.pods {
		if lost {
			p.send(p.loseEngine)
		} else {
			p.send(p.regainEngine)
		}
	}
	if !lost {
		w.lookForOrphans(ctx)
	}
}

func (p *pod) loseEngine() { p.s.outage = true }

// regainEngine has every container inspected that may have ended meanwhile.
func (p *pod) regainEngine() {
	p.s.outage = false
	for _, u := range p.s.all() {
		if u.running() {
			u.suspect, u.excused = true, true
		}
	}
}

// unavailable says whether a call failed only because there is no engine.
func unavailable(err error) bool { return errors.Is(err, container.ErrUnavailable) }
