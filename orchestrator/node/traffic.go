package node

import (
	"context"

	corev1 "k8s.io/api/core/v1"

	served "skiff/orchestrator/resource"
)

// add makes the Pod a back end. Only then is it called ready.
func (p *pod) add() task {
	p.s.admitted = true // from here on requests may come, whatever becomes of the call
	pod := p.s.pod.DeepCopy()
	pod.Status.PodIP = p.s.address.String()
	pod.Status.PodIPs = []corev1.PodIP{{IP: pod.Status.PodIP}}
	return func(ctx context.Context) (func(), error) {
		if err := p.Traffic.Add(ctx, pod); err != nil {
			return nil, err
		}
		return func() { p.s.serving = true }, nil
	}
}

// removeTraffic keeps new requests from a Pod that is not ready now but may be
// again.
func (p *pod) removeTraffic() task {
	return func(ctx context.Context) (func(), error) {
		if err := p.Traffic.Remove(ctx, p.uid); err != nil {
			return nil, err
		}
		return func() { p.s.admitted, p.s.serving = false, false }, nil
	}
}

// drain keeps new requests from a Pod for good, and lets those in flight end.
func (p *pod) drain() task {
	pod, deadline := p.s.pod, p.s.deadline
	p.s.job(job{opDrain, ""}).deadline = deadline
	return func(ctx context.Context) (func(), error) {
		within, cancel := context.WithDeadline(ctx, deadline)
		defer cancel()
		err := p.Traffic.Drain(within, pod, served.DrainTime(pod))
		if ctx.Err() != nil {
			return nil, ctx.Err() // this process ends: the next one waits anew
		}
		if err != nil {
			// What was left is cut. That is the user's limit, not a failure.
			p.log.Info("drain ended early", "error", err)
		}
		return func() { p.s.drained, p.s.admitted = true, false }, nil
	}
}
