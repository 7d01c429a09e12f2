package docker

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	dockercontainer "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"skiff/runtime/container"
)

// A viewer is a container that never runs. The engine shows it a volume or a
// path of its machine, at viewPath, and lets skiff look and write there: so it
// works for a user who may not read the engine's files, and where the engine is
// in a virtual machine.
const (
	viewerName = "VOLUME"  // no container of a Pod can be called that
	viewPath   = "/volume" // a directory of the viewer's image
	filePath   = "/path"   // where a path of any type is shown: nothing is there
)

// view has use work on a viewer of what host mounts.
func (e *Engine) view(ctx context.Context, pod container.Pod, host *dockercontainer.HostConfig, use func(id string) error) error {
	return e.viewer(ctx, pod, host, e.withPause, use)
}

// imageSource makes a container of an image that it knows.
type imageSource func(ctx context.Context, create func(ref string) (id string, err error)) (id string, err error)

// viewImage has use work on a viewer of what is in an image.
func (e *Engine) viewImage(ctx context.Context, pod container.Pod, image string, use func(id string) error) error {
	return e.viewer(ctx, pod, &dockercontainer.HostConfig{}, func(_ context.Context, create func(string) (string, error)) (string, error) {
		return create(image)
	}, use)
}

// viewer makes one from an image, in a Pod's name: if skiff dies meanwhile, it
// goes with the Pod.
func (e *Engine) viewer(ctx context.Context, pod container.Pod, host *dockercontainer.HostConfig, from imageSource, use func(id string) error) error {
	leave, err := e.gate.enter(ctx, creating)
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	spec := container.Spec{Pod: pod, Name: viewerName}
	host.NetworkMode = "none"
	id, err := from(ctx, func(ref string) (string, error) {
		// The engine makes no container without a program, which not every image has.
		config := &dockercontainer.Config{Image: ref, Labels: e.specLabels(spec), Entrypoint: []string{viewPath}}
		return e.make(ctx, config, host, nil, name(spec)+"_"+rand.Text())
	})
	if err != nil {
		return err
	}
	err = use(id)
	last, end := outlasting(ctx)
	defer end()
	removal := e.api.ContainerRemove(last, id, dockercontainer.RemoveOptions{Force: true, RemoveVolumes: true})
	if cerrdefs.IsNotFound(removal) || cerrdefs.IsConflict(removal) {
		removal = nil // somebody who found it without its Pod was faster
	}
	return errors.Join(err, failure("remove viewer", removal))
}

// PathType tells what is at a path of the engine's machine; links are followed.
// It answers container.ErrNotFound where nothing is.
func (e *Engine) PathType(ctx context.Context, pod container.Pod, p string) (kind fs.FileMode, err error) {
	err = e.view(ctx, pod, binding(p, filePath), func(id string) error {
		stat, err := e.api.ContainerStatPath(ctx, id, filePath)
		kind = stat.Mode.Type()
		return failure("look at "+p, err)
	})
	if isMissing(err) {
		return 0, fmt.Errorf("%s: %w", p, container.ErrNotFound)
	}
	return kind, err
}

// isMissing recognizes the answer to a bind of a path that is not there. It is
// 400 like any other fault of a request: only its words tell.
func isMissing(err error) bool {
	return err != nil && strings.Contains(err.Error(), "bind source path does not exist")
}

// MakeDir makes a directory on the engine's machine, with those above it, as
// the engine's user and with mode 0755.
func (e *Engine) MakeDir(ctx context.Context, pod container.Pod, p string) error {
	host := &dockercontainer.HostConfig{Binds: []string{p + ":" + viewPath}}
	err := e.view(ctx, pod, host, func(id string) error {
		_, err := e.api.ContainerStatPath(ctx, id, viewPath) // makes what is to be mounted
		return err
	})
	return failure("make directory "+p, err)
}

// MakeFile makes an empty file on the engine's machine, with mode 0644, in a
// directory that is there.
func (e *Engine) MakeFile(ctx context.Context, pod container.Pod, p string) error {
	err := e.view(ctx, pod, binding(path.Dir(p), viewPath), func(id string) error {
		return e.put(ctx, id, viewPath, entry{file: fileOf(path.Base(p), nil), mode: 0o644})
	})
	if isMissing(err) {
		return fmt.Errorf("%s: %w", path.Dir(p), container.ErrNotFound)
	}
	return err
}

func binding(p, at string) *dockercontainer.HostConfig {
	return &dockercontainer.HostConfig{Mounts: []mount.Mount{{Type: mount.TypeBind, Source: p, Target: at}}}
}

func (e *Engine) put(ctx context.Context, id, dir string, entries ...entry) error {
	var archive bytes.Buffer
	for i := range entries {
		entries[i].at = time.Now()
	}
	if err := writeTar(&archive, entries...); err != nil {
		return fmt.Errorf("write to volume: %w", err)
	}
	return failure("write to volume", e.api.CopyToContainer(ctx, id, dir, &archive, dockercontainer.CopyToContainerOptions{}))
}

// Below tells where sub, a relative path within what m shows, is on the
// engine's machine; an empty one is all of it. A directory is made there, like
// the root of what m shows, unless something is there. A link that leads out of
// what m shows is an error.
func (e *Engine) Below(ctx context.Context, pod container.Pod, m container.Mount, sub string) (string, error) {
	root := m.Source
	if m.Volume != "" {
		v, err := e.api.VolumeInspect(ctx, e.volumeName(m.Volume))
		if err != nil {
			return "", failure("inspect volume "+m.Volume, err)
		}
		root = v.Mountpoint
	}
	if sub == "" {
		return root, nil
	}
	shown := e.mount(container.Mount{Source: m.Source, Volume: m.Volume, Target: viewPath})
	var real string
	err := e.view(ctx, pod, &dockercontainer.HostConfig{Mounts: []mount.Mount{shown}}, func(id string) (err error) {
		real, err = (&walk{engine: e, viewer: id}).to(ctx, sub)
		return err
	})
	return path.Join(root, real), err
}

// walk follows a path below viewPath one step at a time.
type walk struct {
	engine *Engine
	viewer string
}

func (w *walk) to(ctx context.Context, sub string) (string, error) {
	done, left := "", strings.Split(path.Clean(sub), "/")
	if path.IsAbs(sub) || left[0] == ".." {
		return "", fmt.Errorf("subpath %q leads out of the volume", sub)
	}
	for ; len(left) > 0; left = left[1:] {
		next := path.Join(done, left[0])
		stat, err := w.engine.api.ContainerStatPath(ctx, w.viewer, path.Join(viewPath, next))
		switch {
		case cerrdefs.IsNotFound(err):
			return path.Join(done, path.Join(left...)), w.make(ctx, done, left)
		case err != nil:
			return "", failure("look into volume", err)
		case stat.Mode&fs.ModeSymlink != 0:
			// The engine has followed it to its end, within the viewer.
			inside, ok := strings.CutPrefix(stat.LinkTarget+"/", viewPath+"/")
			if !ok {
				return "", fmt.Errorf("subpath %q leads out of the volume: %s is a link", sub, next)
			}
			next = path.Clean(inside)
		}
		done = next
	}
	return done, nil
}

// make makes the directories that are missing. As in the kubelet, they may be used
// by whom the volume's root may be, and belong to its group where that is passed on.
func (w *walk) make(ctx context.Context, dir string, missing []string) error {
	root, err := w.engine.lookAtRoot(ctx, w.viewer)
	if err != nil {
		return err
	}
	const passedOn = 0o2000
	made := entry{mode: root.Mode & (passedOn | 0o777)}
	if root.Mode&passedOn != 0 {
		made.gid = root.Gid
	}
	var entries []entry
	for i := range missing {
		made.file = fileOf(path.Join(missing[:i+1]...)+"/", nil)
		entries = append(entries, made)
	}
	return w.engine.put(ctx, w.viewer, path.Join(viewPath, dir), entries...)
}
