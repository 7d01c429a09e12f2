package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	dockercontainer "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/versions"
	"github.com/docker/docker/api/types/volume"

	"skiff/runtime/container"
)

const labelClaim = "io.kubernetes.pvc"

func (e *Engine) volumeName(name string) string { return "skiff-" + e.instance + "-" + name }

// CreateVolume makes a volume to which any user of any container can write. One
// that is there is given to the group, as far as v says; that takes its time and
// ends with ctx. It is made in the name of a Pod, and what was begun is finished
// even if ctx ends meanwhile.
//
// The volume comes into being together with a viewer, in one call: the engine
// gives it the mode of the viewer's directory.
func (e *Engine) CreateVolume(ctx context.Context, pod container.Pod, v container.Volume) error {
	found, err := e.api.VolumeInspect(ctx, e.volumeName(v.Name))
	if err == nil {
		if !e.owns(found.Labels) {
			return fmt.Errorf("use volume %s: it belongs to another instance of skiff: %w", found.Name, container.ErrConflict)
		}
		return e.giveVolume(ctx, pod, v)
	}
	if !cerrdefs.IsNotFound(err) {
		return failure("inspect volume "+v.Name, err)
	}
	options := &mount.VolumeOptions{Labels: e.labels(), DriverConfig: &mount.Driver{Name: "local", Options: spared}, NoCopy: v.Memory}
	options.Labels[labelPodUID], options.Labels[labelClaim] = v.Pod, v.Claim
	if v.Memory {
		options.DriverConfig.Options = memory(v)
	}
	host := &dockercontainer.HostConfig{Mounts: []mount.Mount{{
		Type: mount.TypeVolume, Source: e.volumeName(v.Name), Target: viewPath, VolumeOptions: options,
	}}}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	err = e.view(ctx, pod, host, func(id string) error {
		if v.Group == nil || v.Memory {
			return nil
		}
		return e.giveRoot(ctx, id, int(*v.Group))
	})
	return failure("create volume "+v.Name, err)
}

// spared are the local driver's options for a volume that is nothing special,
// without a limit, but that has an option: those the engine's prune leaves alone,
// even while no container has them, as between a container's end and its next
// attempt, or the old Pod and the new.
var spared = map[string]string{"size": "0"}

// memory are the local driver's options for a file system in memory.
func memory(v container.Volume) map[string]string {
	o := "mode=0777"
	if v.Group != nil {
		o = "mode=2777,gid=" + strconv.FormatInt(*v.Group, 10)
	}
	if v.Size > 0 {
		o += ",size=" + strconv.FormatInt(v.Size, 10)
	}
	return map[string]string{"type": "tmpfs", "device": "tmpfs", "o": o}
}

// RemoveVolume removes a volume with all that is in it. None there is fine;
// container.ErrConflict where a container has it.
func (e *Engine) RemoveVolume(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := e.api.VolumeRemove(ctx, e.volumeName(name), false)
	if cerrdefs.IsNotFound(err) {
		return nil
	}
	return failure("remove volume "+name, err)
}

// Volumes lists the instance's volumes.
func (e *Engine) Volumes(ctx context.Context) ([]container.Volume, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	found, err := e.api.VolumeList(ctx, volume.ListOptions{Filters: e.own()})
	if err != nil {
		return nil, failure("list volumes", err)
	}
	var out []container.Volume
	for _, v := range found.Volumes {
		if name, ok := strings.CutPrefix(v.Name, e.volumeName("")); ok {
			out = append(out, container.Volume{Name: name, Pod: v.Labels[labelPodUID], Claim: v.Labels[labelClaim]})
		}
	}
	return out, nil
}

// VolumeUsage is how many bytes a volume takes on the engine's disk. It answers
// container.ErrUnsupported where that cannot be told: skiff may not look into
// the volume itself, and the engine would have to measure all that it has.
func (e *Engine) VolumeUsage(ctx context.Context, name string) (int64, error) {
	v, err := e.api.VolumeInspect(ctx, e.volumeName(name))
	if err != nil {
		return 0, failure("inspect volume "+name, err)
	}
	if _, err := os.ReadDir(v.Mountpoint); err != nil {
		return 0, fmt.Errorf("measure volume %s: %w: %w", name, container.ErrUnsupported, err)
	}
	return usage(v.Mountpoint)
}

// usage sums up what the files below a directory take. Files come and go
// meanwhile.
func usage(dir string) (sum int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		sum += allocated(info)
		return nil
	})
	return sum, err
}

// mount says in the engine's words what a container is to see.
func (e *Engine) mount(m container.Mount) mount.Mount {
	if m.Volume != "" {
		return mount.Mount{
			Type: mount.TypeVolume, Source: e.volumeName(m.Volume), Target: m.Target, ReadOnly: m.ReadOnly,
			// What the image has at that place is hidden, as in any Pod.
			VolumeOptions: &mount.VolumeOptions{NoCopy: true},
		}
	}
	// Without one of its own the engine keeps both sides apart, except below its
	// own directory, where it insists on what FromHost says.
	options := &mount.BindOptions{}
	switch m.Propagation {
	case container.FromHost:
		options.Propagation = mount.PropagationRSlave
	case container.BothSides:
		options.Propagation = mount.PropagationRShared
	}
	if m.ReadOnly && e.recursive() {
		options.ReadOnlyNonRecursive = m.Recursive == ""
		options.ReadOnlyForceRecursive = m.Recursive == container.RecursiveAlways
	}
	return mount.Mount{Type: mount.TypeBind, Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly, BindOptions: options}
}

// recursive says whether the engine knows read-only mounts that are so all the
// way down.
func (e *Engine) recursive() bool {
	return versions.GreaterThanOrEqualTo(e.api.ClientVersion(), "1.44")
}

// canMount refuses what the engine would do by halves.
func (e *Engine) canMount(mounts []container.Mount) error {
	for _, m := range mounts {
		if m.Source != "" && m.Recursive == container.RecursiveAlways && !e.recursive() {
			return fmt.Errorf("mount %s: recursive read-only mounts need Docker Engine 25: %w", m.Target, container.ErrUnsupported)
		}
	}
	return nil
}
