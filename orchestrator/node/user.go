package node

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"skiff/runtime/container"
)

// user finds out as whom a container begins, while the engine is busy with its
// start. Nothing but the status depends on that.
func (p *pod) user(ctx context.Context, spec container.Spec, image container.Image) (wait func() *corev1.ContainerUser) {
	found := make(chan *corev1.ContainerUser, 1)
	p.tasks.Go(func() {
		id, err := p.Engine.Identity(ctx, spec.Pod, image.ID, cmp.Or(spec.Security.User, image.User))
		if err != nil {
			p.log.Debug("the user is not told", "container", spec.Name, "error", err)
			found <- nil
			return
		}
		found <- containerUser(id, spec.Security.Groups)
	})
	return func() *corev1.ContainerUser { return <-found }
}

// containerUser is the user with all the groups, of which its own is the first.
func containerUser(id container.Identity, further []string) *corev1.ContainerUser {
	groups := append([]int64{id.GID}, id.Groups...)
	for _, text := range further {
		if group, err := strconv.ParseInt(text, 10, 64); err == nil && !slices.Contains(groups, group) {
			groups = append(groups, group)
		}
	}
	return &corev1.ContainerUser{Linux: &corev1.LinuxContainerUser{UID: id.UID, GID: id.GID, SupplementalGroups: groups}}
}
