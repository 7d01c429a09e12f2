package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/runtime/container"
)

// measurePeriod is how often volumes with a limit are measured, as in the
// kubelet.
const measurePeriod = 10 * time.Second

// evictionGrace is what a Pod gets that takes more than it may, as in the kubelet:
// whatever it goes on taking meanwhile is lost to the others.
const evictionGrace = time.Second

const reasonEvicted = "Evicted"

// limited lists the Pod's volumes that may take only so much of the disk. Those
// in memory are bounded by their file system.
func limited(pod *corev1.Pod) []corev1.Volume {
	var out []corev1.Volume
	for _, v := range pod.Spec.Volumes {
		if d := v.EmptyDir; d != nil && d.Medium == corev1.StorageMediumDefault && d.SizeLimit != nil && !d.SizeLimit.IsZero() {
			out = append(out, v)
		}
	}
	return out
}

// limits has the volumes measured that have a limit.
func (p *plan) limits() {
	s := p.s
	if !s.mounted || s.unmeasured || len(limited(s.pod)) == 0 {
		return
	}
	if at := s.measured.Add(measurePeriod); p.now.Before(at) {
		p.wakeAt(at)
		return
	}
	p.want(opMeasure, "")
}

// measure fails a Pod that has filled a volume beyond its limit.
func (p *pod) measure() task {
	pod := p.s.pod
	return func(ctx context.Context) (func(), error) {
		now := time.Now()
		for _, v := range limited(pod) {
			used, err := p.Engine.VolumeUsage(ctx, emptyDir(pod, v, 0).Name)
			switch {
			case errors.Is(err, container.ErrUnsupported):
				p.events.warn(pod, "", "SizeLimitNotEnforced", "The size of EmptyDir volume %q is not limited: %v", v.Name, err)
				return func() { p.s.unmeasured = true }, nil
			case err != nil:
				return nil, err
			case used > v.EmptyDir.SizeLimit.Value():
				message := fmt.Sprintf("Usage of EmptyDir volume %q exceeds the limit %q. ", v.Name, v.EmptyDir.SizeLimit.String())
				p.events.warn(pod, "", reasonEvicted, "%s", message)
				return func() { p.s.failure = &failure{reason: reasonEvicted, message: message, hasty: true} }, nil
			}
		}
		return func() { p.s.measured = now }, nil
	}
}
