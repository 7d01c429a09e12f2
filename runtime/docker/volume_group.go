package docker

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	dockercontainer "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"

	"skiff/runtime/container"
	"skiff/runtime/fsgroup"
)

// A volume of millions of files takes minutes. So many are walked through side
// by side, in containers that wait for nothing but the disk and so hold no place
// at the gate.
const (
	walksAtOnce = 2
	walkTimeout = 30 * time.Minute
	walkMemory  = 128 << 20
)

// giveVolume gives of a volume that is there to its group what v asks for.
func (e *Engine) giveVolume(ctx context.Context, pod container.Pod, v container.Volume) error {
	if v.Group == nil || v.Memory {
		return nil
	}
	group := int(*v.Group)
	host := &dockercontainer.HostConfig{Mounts: []mount.Mount{e.mount(container.Mount{Volume: v.Name, Target: viewPath})}}
	given := false
	var err error
	switch v.Give {
	case container.GiveAll:
	case container.GiveMismatched:
		err = e.view(ctx, pod, host, func(id string) (err error) {
			root, err := e.lookAtRoot(ctx, id)
			given = err == nil && isShared(root, group)
			return err
		})
	default:
		given = true
		err = e.view(ctx, pod, host, func(id string) error { return e.giveRoot(ctx, id, group) })
	}
	if err != nil || given {
		return err
	}
	return e.walk(ctx, pod, host.Mounts, group)
}

// sharedDir is what the group of a volume's root may do, and that what is made
// in it is the group's.
const sharedDir = 0o2770

// giveRoot lets a group write to the root of the viewer's volume, and own what
// is made there. Its user and what others may do stay: a database insists on them.
func (e *Engine) giveRoot(ctx context.Context, viewer string, group int) error {
	root, err := e.lookAtRoot(ctx, viewer)
	if err != nil || isShared(root, group) {
		return err
	}
	return e.put(ctx, viewer, "/", entry{file: fileOf(viewPath[1:]+"/", nil), mode: root.Mode&0o7777 | sharedDir, uid: root.Uid, gid: group})
}

// isShared says whether a volume's root is the group's.
func isShared(root *tar.Header, group int) bool {
	return root.Gid == group && root.Mode&sharedDir == sharedDir
}

// lookAtRoot describes the root of the viewer's volume.
func (e *Engine) lookAtRoot(ctx context.Context, viewer string) (*tar.Header, error) {
	content, _, err := e.api.CopyFromContainer(ctx, viewer, viewPath)
	if err != nil {
		return nil, failure("look at the volume's root", err)
	}
	defer content.Close()
	root, err := tar.NewReader(content).Next()
	if err != nil {
		return nil, fmt.Errorf("look at the volume's root: %w", err)
	}
	return root, nil
}

// walk gives all that is mounted at viewPath to a group, by skiff's program in a
// container of its own. It ends when ctx does.
func (e *Engine) walk(ctx context.Context, pod container.Pod, mounts []mount.Mount, group int) (err error) {
	select {
	case e.walks <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-e.walks }()
	ctx, cancel := context.WithTimeout(ctx, walkTimeout)
	defer cancel()
	config := &dockercontainer.Config{User: "0:0", Cmd: []string{fsgroup.Command, strconv.Itoa(group), viewPath}}
	id, err := e.createTool(ctx, pod, viewerName, config, &dockercontainer.HostConfig{
		NetworkMode: "none", Mounts: mounts, LogConfig: logConfig(),
		CapAdd:    []string{"CHOWN", "FOWNER", "FSETID", "DAC_READ_SEARCH"},
		Resources: dockercontainer.Resources{Memory: walkMemory, MemorySwap: walkMemory, CPUShares: 2},
	})
	if err != nil {
		return failure("give volume to group", err)
	}
	// Nobody else removes it while its Pod is there.
	defer func() { err = errors.Join(err, e.Remove(context.WithoutCancel(ctx), id)) }()
	exited, failed := e.api.ContainerWait(ctx, id, dockercontainer.WaitConditionNextExit)
	if err := e.startTool(ctx, id); err != nil {
		return failure("give volume to group", err)
	}
	select {
	case end := <-exited:
		if end.StatusCode != 0 {
			return fmt.Errorf("give volume to group %d: %s", group, e.complaint(ctx, id, end.StatusCode))
		}
		return nil
	case err := <-failed:
		return failure("give volume to group", err)
	}
}

// complaint is what the program said when it gave up.
func (e *Engine) complaint(ctx context.Context, id string, code int64) string {
	const longest = 1024
	fallback := fmt.Sprintf("the program ended with exit code %d", code)
	content, err := e.Logs(ctx, id, container.LogOptions{Tail: 1})
	if err != nil {
		return fallback
	}
	defer content.Close()
	said, err := io.ReadAll(io.LimitReader(content, longest))
	if text := strings.TrimSpace(string(said)); err == nil && text != "" {
		return text
	}
	return fallback
}
