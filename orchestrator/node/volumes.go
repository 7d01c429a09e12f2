package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"

	"skiff/orchestrator/resource"
	"skiff/runtime/container"
)

// mount makes the Pod's volumes, side by side, before its first container.
func (p *pod) mount() task {
	pod, give := p.s.pod, p.s.giving()
	p.s.news = false
	return func(ctx context.Context) (func(), error) {
		made := make([]prepared, len(pod.Spec.Volumes))
		errs := make([]error, len(pod.Spec.Volumes))
		var group errgroup.Group
		for i, v := range pod.Spec.Volumes {
			group.Go(func() error {
				made[i], errs[i] = p.setUp(ctx, pod, v, give)
				return nil
			})
		}
		group.Wait()
		if err := errors.Join(errs...); err != nil {
			return func() { p.s.stray = p.s.stray || ctx.Err() != nil }, err
		}
		return func() {
			p.s.volumes = map[string]container.Mount{}
			for i, v := range pod.Spec.Volumes {
				p.s.volumes[v.Name] = made[i].Mount
				p.s.renew = earliest(p.s.renew, made[i].renew)
			}
			p.s.mounted = true
		}, nil
	}
}

// prepared is what a container mounts to see a volume, and when its files need
// to be renewed.
type prepared struct {
	container.Mount
	renew time.Time
}

func (p *pod) setUp(ctx context.Context, pod *corev1.Pod, v corev1.Volume, give container.Giving) (prepared, error) {
	m, err := p.makeVolume(ctx, pod, v, give)
	if err != nil && ctx.Err() == nil && !unavailable(err) {
		p.events.warn(pod, "", reasonFailedMount, "MountVolume.SetUp failed for volume %q : %v", v.Name, err)
	}
	if err != nil {
		return m, fmt.Errorf("make volume %s: %w", v.Name, err)
	}
	return m, nil
}

func (p *pod) makeVolume(ctx context.Context, pod *corev1.Pod, v corev1.Volume, give container.Giving) (made prepared, err error) {
	switch {
	case v.HostPath != nil:
		made.Source = v.HostPath.Path
		err = p.makeHostPath(ctx, pod, v.HostPath)
	case v.EmptyDir != nil:
		dir := emptyDir(pod, v, p.Machine.Memory)
		made.Volume = dir.Name
		err = p.Engine.CreateVolume(ctx, identity(pod), dir)
	case resource.ClaimOf(pod, &v) != nil:
		made.Mount, err = p.claimed(ctx, pod, &v, give)
	case isProjected(v):
		made.Source, made.ReadOnly = p.volumePath(pod, v), true
		made.renew, err = p.project(ctx, pod, v)
	default:
		err = errors.New("volumes of this kind cannot be mounted")
	}
	return made, err
}

// volumePath is where skiff keeps the files of a projected volume.
func (p *pod) volumePath(pod *corev1.Pod, v corev1.Volume) string {
	return filepath.Join(p.podDir(pod.UID), "volumes", v.Name)
}

// emptyDir is the engine's volume for one of the Pod's own. As in the kubelet,
// one in memory may take no more than the Pod or the machine has of it.
func emptyDir(pod *corev1.Pod, v corev1.Volume, machine int64) container.Volume {
	out := container.Volume{Name: string(pod.UID) + "-" + v.Name, Pod: string(pod.UID), Group: fsGroup(pod)}
	if !isInMemory(v) {
		return out
	}
	out.Memory, out.Size = true, machine
	if limit := memoryLimit(pod); limit > 0 {
		out.Size = min(out.Size, limit)
	}
	if limit := v.EmptyDir.SizeLimit; limit != nil && limit.Value() > 0 {
		out.Size = min(out.Size, limit.Value())
	}
	return out
}

// memoryLimit is what the Pod as a whole may take, or else all its containers
// together, 0 where one of them is without a limit.
func memoryLimit(pod *corev1.Pod) (sum int64) {
	if whole := pod.Spec.Resources; whole != nil {
		if limit, limited := whole.Limits[corev1.ResourceMemory]; limited {
			return limit.Value()
		}
	}
	for _, c := range pod.Spec.Containers {
		limit, ok := c.Resources.Limits[corev1.ResourceMemory]
		if !ok {
			return 0
		}
		sum += limit.Value()
	}
	return sum
}

func fsGroup(pod *corev1.Pod) *int64 {
	if pod.Spec.SecurityContext == nil {
		return nil
	}
	return pod.Spec.SecurityContext.FSGroup
}

// inMemory says whether the Pod has a volume that is lost when nothing mounts it.
func inMemory(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Spec.Volumes, isInMemory)
}

func isInMemory(v corev1.Volume) bool {
	return v.EmptyDir != nil && v.EmptyDir.Medium == corev1.StorageMediumMemory
}

// keeps are the volumes that the sandbox has while containers come and go: those
// in memory would be lost.
func (s *state) keeps() []container.Mount {
	var out []container.Mount
	for _, v := range s.pod.Spec.Volumes {
		if m := s.volumes[v.Name]; m.Volume != "" && isInMemory(v) {
			out = append(out, container.Mount{Volume: m.Volume, Target: "/volumes/" + v.Name})
		}
	}
	return out
}

// unmount removes what the Pod alone had. A volume that somebody else's
// container has mounted must not keep the Pod: its removal is tried again at
// the next start.
func (p *pod) unmount() task {
	pod, dir := p.s.pod, p.podDir(p.uid)
	return func(ctx context.Context) (func(), error) {
		for _, v := range pod.Spec.Volumes {
			if v.EmptyDir == nil {
				continue
			}
			err := p.Engine.RemoveVolume(ctx, emptyDir(pod, v, 0).Name)
			if errors.Is(err, container.ErrConflict) {
				p.log.Warn("a volume of a Pod that is gone is in use by a stranger", "volume", v.Name, "error", err)
			} else if err != nil {
				return nil, err
			}
		}
		if err := os.RemoveAll(dir); err != nil {
			p.log.Warn("volumes of a Pod that is gone could not be removed", "path", dir, "error", err)
		}
		return func() { p.s.unmounted = true }, nil
	}
}
