package node

import (
	"context"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/runtime/probe"
)

// probe runs a container's probes until it ends: the startup probe first,
// which holds the others back.
func (p *pod) probe(u *unit) task {
	u.probed = true
	pod, c := p.s.pod, p.s.spec(u.name)
	target := probe.Target{
		Ports:       c.Ports,
		Host:        p.s.address.String(),
		ContainerID: u.cur.ID,
		StartedAt:   u.cur.StartedAt,
	}
	started, ready := u.started, u.ready
	return func(ctx context.Context) (func(), error) {
		tell := func(kind probe.Kind) func(probe.Report) {
			return func(r probe.Report) { p.told(ctx, pod, u, target.ContainerID, kind, r) }
		}
		if !started {
			if !p.startupPasses(ctx, target, c, tell(probe.Startup)) {
				return nil, nil
			}
		}
		var both sync.WaitGroup
		if c.ReadinessProbe != nil {
			t := target
			t.Kind, t.Probe, t.Healthy = probe.Readiness, c.ReadinessProbe, ready
			both.Go(func() { p.prober.Run(ctx, t, tell(t.Kind)) })
		}
		if c.LivenessProbe != nil {
			t := target
			t.Kind, t.Probe = probe.Liveness, c.LivenessProbe
			both.Go(func() { p.prober.Run(ctx, t, tell(t.Kind)) })
		}
		both.Wait()
		return nil, nil
	}
}

func (p *pod) startupPasses(ctx context.Context, t probe.Target, c *corev1.Container, tell func(probe.Report)) bool {
	passed := false
	t.Kind, t.Probe = probe.Startup, c.StartupProbe
	p.prober.Run(ctx, t, func(r probe.Report) {
		passed = r.Healthy
		tell(r)
	})
	return passed && ctx.Err() == nil
}

// told takes note of what a probe has found out.
func (p *pod) told(ctx context.Context, pod *corev1.Pod, u *unit, id string, kind probe.Kind, r probe.Report) {
	if ctx.Err() != nil {
		return
	}
	if r.Reason != "" {
		p.events.warn(pod, u.name, r.Reason, "%s", r.Message)
	}
	if !r.Changed {
		return
	}
	p.send(func() {
		if u.cur == nil || u.cur.ID != id || !u.running() {
			return
		}
		switch kind {
		case probe.Readiness:
			u.ready = r.Healthy
		case probe.Startup:
			u.started = r.Healthy
			fallthrough
		case probe.Liveness:
			if !r.Healthy {
				p.failed(u, kind)
			}
		}
	})
}

// failed has a container restarted whose probe says that it is beyond help.
func (p *pod) failed(u *unit, kind probe.Kind) {
	c := p.s.spec(u.name)
	by := c.LivenessProbe
	if kind == probe.Startup {
		by = c.StartupProbe
	}
	seconds := grace(p.s.pod)
	if by != nil && by.TerminationGracePeriodSeconds != nil {
		seconds = *by.TerminationGracePeriodSeconds
	}
	u.kill = &killing{
		message: "Container " + u.name + " failed " + strings.ToLower(string(kind)) + " probe, will be restarted",
		grace:   time.Duration(seconds) * time.Second,
	}
}
