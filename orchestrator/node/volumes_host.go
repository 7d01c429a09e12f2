package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	corev1 "k8s.io/api/core/v1"

	"skiff/runtime/container"
)

// hostKinds are the types of hostPath that ask for something to be there.
var hostKinds = map[corev1.HostPathType]struct {
	kind fs.FileMode
	name string
}{
	corev1.HostPathDirectoryOrCreate: {fs.ModeDir, "a directory"},
	corev1.HostPathDirectory:         {fs.ModeDir, "a directory"},
	corev1.HostPathFileOrCreate:      {0, "a file"},
	corev1.HostPathFile:              {0, "a file"},
	corev1.HostPathSocket:            {fs.ModeSocket, "a socket file"},
	corev1.HostPathCharDev:           {fs.ModeDevice | fs.ModeCharDevice, "a character device"},
	corev1.HostPathBlockDev:          {fs.ModeDevice, "a block device"},
}

// makeHostPath makes what the type allows to be made, and checks the rest, on
// the engine's machine.
func (p *pod) makeHostPath(ctx context.Context, pod *corev1.Pod, h *corev1.HostPathVolumeSource) error {
	want := corev1.HostPathUnset
	if h.Type != nil {
		want = *h.Type
	}
	kind, err := p.Engine.PathType(ctx, identity(pod), h.Path)
	absent := errors.Is(err, container.ErrNotFound)
	switch {
	case err != nil && !absent:
		return err
	case absent && (want == corev1.HostPathUnset || want == corev1.HostPathDirectoryOrCreate):
		return p.Engine.MakeDir(ctx, identity(pod), h.Path)
	case absent && want == corev1.HostPathFileOrCreate:
		return p.Engine.MakeFile(ctx, identity(pod), h.Path)
	case want == corev1.HostPathUnset:
		return nil
	}
	if asked := hostKinds[want]; absent || kind != asked.kind {
		return fmt.Errorf("hostPath type check failed: %s is not %s", h.Path, asked.name)
	}
	return nil
}
