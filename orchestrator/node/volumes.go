package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"

	"skiff/runtime/container"
)

// mount makes the Pod's volumes before its first container.
func (p *pod) mount() task {
	pod := p.s.pod
	return func(context.Context) (func(), error) {
		for _, v := range pod.Spec.Volumes {
			if err := p.makeVolume(pod, v); err != nil {
				p.events.warn(pod, "", reasonFailedMount, "MountVolume.SetUp failed for volume %q : %v", v.Name, err)
				return nil, fmt.Errorf("make volume %s: %w", v.Name, err)
			}
		}
		return func() { p.s.mounted = true }, nil
	}
}

func (p *pod) makeVolume(pod *corev1.Pod, v corev1.Volume) error {
	switch {
	case v.HostPath != nil:
		return makeHostPath(v.HostPath)
	case v.EmptyDir != nil && v.EmptyDir.Medium == corev1.StorageMediumDefault:
		path := p.volumePath(pod, v)
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
		return os.Chmod(path, 0o777) // any user of any container may write, whatever the umask
	}
	return errors.New("volumes of this kind cannot be mounted")
}

// volumePath is where a volume is on the engine's machine.
func (p *pod) volumePath(pod *corev1.Pod, v corev1.Volume) string {
	if v.HostPath != nil {
		return v.HostPath.Path
	}
	return filepath.Join(p.podDir(pod.UID), "volumes", v.Name)
}

// makeHostPath makes what the type allows to be made, and checks the rest.
func makeHostPath(h *corev1.HostPathVolumeSource) error {
	kind := corev1.HostPathUnset
	if h.Type != nil {
		kind = *h.Type
	}
	switch kind {
	case corev1.HostPathUnset:
		if _, err := os.Stat(h.Path); errors.Is(err, fs.ErrNotExist) {
			return os.MkdirAll(h.Path, 0o755)
		}
		return nil
	case corev1.HostPathDirectoryOrCreate:
		if err := os.MkdirAll(h.Path, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return checkHostPath(h.Path, fs.ModeDir, "a directory")
	case corev1.HostPathDirectory:
		return checkHostPath(h.Path, fs.ModeDir, "a directory")
	case corev1.HostPathFileOrCreate:
		f, err := os.OpenFile(h.Path, os.O_CREATE|os.O_RDONLY, 0o644)
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
		return checkHostPath(h.Path, 0, "a file")
	case corev1.HostPathFile:
		return checkHostPath(h.Path, 0, "a file")
	case corev1.HostPathSocket:
		return checkHostPath(h.Path, fs.ModeSocket, "a socket file")
	case corev1.HostPathCharDev:
		return checkHostPath(h.Path, fs.ModeDevice|fs.ModeCharDevice, "a character device")
	case corev1.HostPathBlockDev:
		return checkHostPath(h.Path, fs.ModeDevice, "a block device")
	}
	return fmt.Errorf("hostPath type %q is not known", kind)
}

func checkHostPath(path string, kind fs.FileMode, name string) error {
	info, err := os.Stat(path)
	if err != nil || info.Mode().Type() != kind {
		return fmt.Errorf("hostPath type check failed: %s is not %s", path, name)
	}
	return nil
}

// mounts says where a container sees which volume.
func (p *pod) mounts(pod *corev1.Pod, c *corev1.Container) ([]container.Mount, error) {
	var out []container.Mount
	for _, m := range c.VolumeMounts {
		source, err := p.mountSource(pod, m)
		if err != nil {
			return nil, err
		}
		out = append(out, container.Mount{Source: source, Target: m.MountPath, ReadOnly: m.ReadOnly})
	}
	return out, nil
}

func (p *pod) mountSource(pod *corev1.Pod, m corev1.VolumeMount) (string, error) {
	for _, v := range pod.Spec.Volumes {
		if v.Name != m.Name {
			continue
		}
		path := p.volumePath(pod, v)
		if m.SubPath == "" {
			return path, nil
		}
		if err := makeSubPath(path, m.SubPath); err != nil {
			return "", fmt.Errorf("prepare subPath of volumeMount %q: %w", m.Name, err)
		}
		return filepath.Join(path, m.SubPath), nil
	}
	return "", fmt.Errorf("find volume %q: the Pod has none of that name", m.Name)
}

// makeSubPath makes a directory within a volume unless something is there. What
// a container has put there cannot lead out of the volume: os.Root follows no
// link to the outside.
func makeSubPath(volume, sub string) error {
	root, err := os.OpenRoot(volume)
	if err != nil {
		return err
	}
	defer root.Close()
	if _, err := root.Stat(sub); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return root.MkdirAll(sub, 0o755)
}

// unmount removes what the Pod alone had. What a container has made as root may
// be out of reach; that must not keep the Pod, and is tried again at the next
// start.
func (p *pod) unmount() task {
	dir := p.podDir(p.uid)
	return func(context.Context) (func(), error) {
		if err := os.RemoveAll(dir); err != nil {
			p.log.Warn("volumes of a Pod that is gone could not be removed", "path", dir, "error", err)
		}
		return func() { p.s.unmounted = true }, nil
	}
}
