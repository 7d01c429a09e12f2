package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// shown are the objects whose data the Pod's volumes show.
func shown(pod *corev1.Pod) map[need]bool {
	out := map[need]bool{}
	for _, v := range pod.Spec.Volumes {
		sources, _ := sourcesOf(v)
		for _, s := range sources {
			switch {
			case s.ConfigMap != nil:
				out[need{false, pod.Namespace, s.ConfigMap.Name}] = true
			case s.Secret != nil:
				out[need{true, pod.Namespace, s.Secret.Name}] = true
			}
		}
	}
	return out
}

// outdate has the volumes made again, or for the first time if they waited for
// what has come now.
func (p *pod) outdate() {
	p.s.news, p.s.outdated = true, true
}

// project writes the files of a volume and says when they need to be renewed.
func (p *pod) project(ctx context.Context, pod *corev1.Pod, v corev1.Volume) (renew time.Time, err error) {
	c, err := p.collect(ctx, pod, v)
	if err != nil {
		return time.Time{}, err
	}
	return c.renew, writeFiles(p.volumePath(pod, v), c.files, ownerOf(pod))
}

// refresh writes the files that have changed since the volumes were made.
func (p *pod) refresh() task {
	pod := p.s.pod
	p.s.news = false
	return func(ctx context.Context) (func(), error) {
		var first time.Time
		var errs []error
		for _, v := range pod.Spec.Volumes {
			if !isProjected(v) {
				continue
			}
			renew, err := p.project(ctx, pod, v)
			if err != nil && ctx.Err() == nil {
				p.events.warn(pod, "", reasonFailedMount, "MountVolume.SetUp failed for volume %q : %v", v.Name, err)
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("refresh volume %s: %w", v.Name, err))
			}
			first = earliest(first, renew)
		}
		if err := errors.Join(errs...); err != nil {
			return func() { p.s.outdated = true }, err
		}
		return func() { p.s.renew, p.s.outdated = first, p.s.news }, nil
	}
}

// earliest is the earlier of two times, of which zero means never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// volumes makes the volumes and keeps them up to date.
func (p *plan) volumes() {
	s := p.s
	switch {
	case !s.mounted && s.news:
		p.again(opMount)
	case !s.mounted:
		p.want(opMount, "")
	case s.news:
		p.again(opRefresh)
	case s.outdated || !s.renew.IsZero() && !p.now.Before(s.renew):
		p.want(opRefresh, "")
	case !s.renew.IsZero():
		p.wakeAt(s.renew)
	}
}

// again begins a job even if it has failed a moment ago: something has changed
// since.
func (p *plan) again(o op) {
	if !p.s.busy(o, "") {
		p.begin = append(p.begin, job{o, ""})
	}
}

// showsItself says whether volumes of the Pod show what may change of it.
func showsItself(pod *corev1.Pod) bool {
	for _, v := range pod.Spec.Volumes {
		sources, _ := sourcesOf(v)
		for _, s := range sources {
			if s.DownwardAPI != nil {
				return true
			}
		}
	}
	return false
}
