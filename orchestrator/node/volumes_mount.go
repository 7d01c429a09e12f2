package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"skiff/runtime/container"
)

// mounts says where a container sees which volume. volumes are what setUp made,
// env are the container's variables in the engine's form.
func (p *pod) mounts(ctx context.Context, pod *corev1.Pod, c *corev1.Container, volumes map[string]container.Mount, env []string) ([]container.Mount, error) {
	var out []container.Mount
	for _, vm := range c.VolumeMounts {
		m, ok := volumes[vm.Name]
		if !ok {
			return nil, fmt.Errorf("find volume %q: the Pod has none of that name", vm.Name)
		}
		sub, err := subPath(vm, env)
		if err != nil {
			return nil, err
		}
		m = withOptions(m, vm)
		if m, err = p.below(ctx, pod, m, sub); err != nil {
			return nil, fmt.Errorf("failed to prepare subPath for volumeMount %q of container %q: %w", vm.Name, c.Name, err)
		}
		if sub == "" {
			if err := p.makeMountPoints(ctx, pod, c, vm.Name, m); err != nil {
				return nil, fmt.Errorf("make mount points in volume %q: %w", vm.Name, err)
			}
		}
		out = append(out, m)
	}
	return out, nil
}

// withOptions adds what the container asks for to what the volume is.
func withOptions(m container.Mount, vm corev1.VolumeMount) container.Mount {
	m.Target = path.Join("/", vm.MountPath) // a relative one is below the root
	m.ReadOnly = m.ReadOnly || vm.ReadOnly
	if r := vm.RecursiveReadOnly; r != nil && vm.ReadOnly {
		switch *r {
		case corev1.RecursiveReadOnlyIfPossible:
			m.Recursive = container.RecursiveIfPossible
		case corev1.RecursiveReadOnlyEnabled:
			m.Recursive = container.RecursiveAlways
		}
	}
	if prop := vm.MountPropagation; prop != nil {
		switch *prop {
		case corev1.MountPropagationHostToContainer:
			m.Propagation = container.FromHost
		case corev1.MountPropagationBidirectional:
			m.Propagation = container.BothSides
		}
	}
	return m
}

// below narrows a mount down to a path within it. What skiff itself has written
// is looked at here; what containers can write, in the engine.
func (p *pod) below(ctx context.Context, pod *corev1.Pod, m container.Mount, sub string) (container.Mount, error) {
	kept := p.kept(pod, m.Source)
	switch {
	case sub == "" && (m.Volume == "" || m.Propagation == ""):
		return m, nil
	case kept != nil:
		real, err := filepath.EvalSymlinks(filepath.Join(m.Source, sub))
		if errors.Is(err, fs.ErrNotExist) && isOptional(*kept) {
			// The container is to start all the same, with a directory of this
			// version: where the file may come later, nothing must be in its way.
			version := filepath.Join(m.Source, dataLink)
			if err = ownerOf(pod).makeDirs(version, sub); err == nil {
				real, err = filepath.EvalSymlinks(filepath.Join(version, sub))
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("volume %q has no file %q", kept.Name, sub)
		}
		m.Source = real
		return m, err
	}
	real, err := p.Engine.Below(ctx, identity(pod), m, sub)
	m.Source, m.Volume = real, ""
	return m, err
}

// makeMountPoints makes the directories of a volume at which the container mounts
// others: the engine cannot in one that it has mounted read-only. As in the kubelet,
// they are made in what belongs to the Pod alone.
func (p *pod) makeMountPoints(ctx context.Context, pod *corev1.Pod, c *corev1.Container, volume string, m container.Mount) error {
	keeps := p.kept(pod, m.Source) != nil
	empty := slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == volume && v.EmptyDir != nil })
	if !keeps && !(empty && m.ReadOnly) {
		return nil
	}
	for _, vm := range c.VolumeMounts {
		inner, nested := strings.CutPrefix(path.Join("/", vm.MountPath), m.Target+"/")
		if !nested {
			continue
		}
		var err error
		if keeps {
			err = ownerOf(pod).makeDirs(m.Source, inner)
		} else {
			_, err = p.Engine.Below(ctx, identity(pod), m, inner)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// kept is the volume whose files skiff writes to a path; nil where there is none.
func (p *pod) kept(pod *corev1.Pod, path string) *corev1.Volume {
	i := slices.IndexFunc(pod.Spec.Volumes, func(v corev1.Volume) bool {
		return isProjected(v) && path == p.volumePath(pod, v)
	})
	if i < 0 {
		return nil
	}
	return &pod.Spec.Volumes[i]
}

// subPath is the part of the volume that the container asks for.
func subPath(vm corev1.VolumeMount, env []string) (string, error) {
	if vm.SubPathExpr == "" {
		return vm.SubPath, nil
	}
	values := map[string]string{}
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		values[name] = value
	}
	var missing []string
	sub := expandWith(vm.SubPathExpr, func(name string) (string, bool) {
		value, ok := values[name]
		if !ok {
			missing = append(missing, name)
		}
		return value, ok
	})
	switch {
	case len(missing) > 0:
		return "", fmt.Errorf("failed to expand subPathExpr %q: missing value for %q", vm.SubPathExpr, missing[0])
	case path.IsAbs(sub), slices.Contains(strings.Split(sub, "/"), ".."):
		return "", fmt.Errorf("failed to expand subPathExpr %q: %q is not a path below the volume", vm.SubPathExpr, sub)
	}
	return sub, nil
}
