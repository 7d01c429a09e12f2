package node

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"skiff/orchestrator/work"
)

// pod runs one Pod: a goroutine that owns its state, decides, and has the work
// done by others. What they find out comes back as changes to the state, made
// by that one goroutine in the order in which they arrive.
type pod struct {
	*shared
	namespace, name string
	uid             types.UID
	shows           map[need]bool // what its volumes show
	rank            func() int    // among those who want to start; known once the first does
	log             *slog.Logger

	needs   map[need]bool
	s       *state
	inbox   chan func()    // changes to the state
	tasks   sync.WaitGroup // the work under way
	quiet   chan struct{}  // closed when skiff may go down
	stopped chan struct{}  // closed when nothing is taken from inbox any more
	done    chan struct{}  // closed when run has returned
}

// task is work on one job, done outside of the Pod's goroutine: it must not
// touch the state. then, which may be nil, is called inside of it.
type task func(ctx context.Context) (then func(), err error)

// delayed is a failure after which the next try has its own time.
type delayed struct {
	error
	delay time.Duration
}

func (d delayed) Unwrap() error { return d.error }

func newPod(w *shared, s *state) *pod {
	whose := workload(s.pod)
	return &pod{
		shared:    w,
		namespace: s.pod.Namespace,
		name:      s.pod.Name,
		uid:       s.pod.UID,
		shows:     shown(s.pod),
		rank:      sync.OnceValue(func() int { return w.turns.rank(whose) }),
		log:       w.Log.With("pod", s.pod.Namespace+"/"+s.pod.Name),
		needs:     needs(s.pod),
		s:         s,
		inbox:     make(chan func()),
		quiet:     make(chan struct{}),
		stopped:   make(chan struct{}),
		done:      make(chan struct{}),
	}
}

// run returns when nothing is left of the Pod, or when ctx ends, and then all
// that it began has returned.
func (p *pod) run(ctx context.Context) {
	defer close(p.done)
	ctx, cancel := context.WithCancel(ctx)
	defer p.tasks.Wait()
	defer cancel()
	defer close(p.stopped)

	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		plan := p.act(ctx)
		if plan.over {
			return
		}
		wait := time.Hour
		if !plan.wake.IsZero() {
			wait = time.Until(plan.wake)
		}
		timer.Reset(wait)
		select {
		case change := <-p.inbox:
			change()
		case <-timer.C:
		case <-ctx.Done():
			return
		}
	}
}

// act begins and cuts short what decide says, until there is nothing more to
// be done now, and then has the status reported.
func (p *pod) act(ctx context.Context) *plan {
	for {
		plan := decide(p.s, time.Now())
		for _, j := range plan.cancel {
			js := p.s.job(j)
			js.cancelled = true
			js.cancel()
		}
		for _, j := range plan.begin {
			p.begin(ctx, j, p.task(j))
		}
		if len(plan.begin)+len(plan.cancel) > 0 {
			continue
		}
		if reporting := p.report(ctx, plan); plan.quiet && !reporting {
			p.beQuiet()
		}
		return plan
	}
}

func (p *pod) beQuiet() {
	select {
	case <-p.quiet:
	default:
		close(p.quiet)
	}
}

// send has a change made to the state by the Pod's goroutine; nothing happens
// if that has ended.
func (p *pod) send(change func()) {
	select {
	case p.inbox <- change:
	case <-p.stopped:
	}
}

// begin starts the work on a job. What it finds out is taken note of before
// the job counts as done.
func (p *pod) begin(ctx context.Context, j job, t task) {
	js := p.s.job(j)
	ctx, cancel := context.WithCancel(ctx)
	js.busy, js.cancelled, js.cancel = true, false, cancel
	p.tasks.Go(func() {
		defer cancel()
		var then func()
		err := work.Contain(ctx, func(ctx context.Context) (err error) {
			then, err = t(ctx)
			return err
		})
		p.send(func() { p.end(j, then, err) })
	})
}

func (p *pod) end(j job, then func(), err error) {
	js := p.s.job(j)
	again := js.again
	js.busy, js.again = false, false
	if then != nil {
		then()
	}
	var wait delayed
	switch {
	case err == nil:
		js.failures, js.retry = 0, time.Time{}
	case js.cancelled, again:
		js.retry = time.Time{}
	case unavailable(err): // as soon as that is known, the job is held
		js.failures++
		js.retry = time.Now().Add(retryDelay(min(js.failures, 4)))
		p.log.Debug("a job failed for want of the engine", "job", j.op, "container", j.name, "error", err)
	case errors.As(err, &wait):
		js.failures++
		js.retry = time.Now().Add(wait.delay)
	default:
		js.failures++
		js.retry = time.Now().Add(retryDelay(js.failures))
		p.log.Warn("a job failed and is tried again", "job", j.op, "container", j.name, "failures", js.failures, "error", err)
	}
}

// task finds the work for a job. It runs in the Pod's goroutine and takes from
// the state what the work needs.
func (p *pod) task(j job) task {
	switch u := p.s.unit(j.name); j.op {
	case opBind:
		return p.bind()
	case opExpire:
		return p.expire()
	case opLease:
		return p.lease()
	case opMount:
		return p.mount()
	case opMeasure:
		return p.measure()
	case opRefresh:
		return p.refresh()
	case opSandbox:
		return p.haveSandbox()
	case opNoSandbox:
		return p.haveNoSandbox()
	case opStandBy:
		return p.startStandby(p.s.standby)
	case opImage:
		return p.provideImage(u)
	case opPullBackOff:
		return p.backOffPull(u)
	case opStart:
		return p.start(u)
	case opSpare:
		return p.makeSpare(u)
	case opPostStart:
		return p.postStart(u)
	case opProbe:
		return p.probe(u)
	case opReconnect:
		return p.reconnect(u)
	case opInspect:
		return p.inspect(u)
	case opPreStop:
		return p.preStop(u)
	case opStop:
		return p.stop(u)
	case opQuell:
		return p.quell(j.name)
	case opRound:
		return p.nextRound()
	case opRemoveOld:
		return p.removeOld(j.name)
	case opAdd:
		return p.add()
	case opRemoveTraffic:
		return p.removeTraffic()
	case opDrain:
		return p.drain()
	case opSweep:
		return p.sweep()
	case opRemove:
		return p.remove()
	case opUnmount:
		return p.unmount()
	case opRelease:
		return p.release()
	case opDelete:
		return p.deleteObject()
	}
	panic("no work is known for job " + string(j.op)) // a new op without its case
}
