package docker

import (
	"context"
	"errors"
	"fmt"

	cerrdefs "github.com/containerd/errdefs"
	dockercontainer "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"golang.org/x/sync/errgroup"
)

// Purge removes everything that carries the instance's labels, and skiff's own
// images if no other instance uses them. It goes on after a failure and reports
// all of them; what is gone already is none.
func (e *Engine) Purge(ctx context.Context) error {
	return errors.Join(
		e.purgeContainers(ctx),
		e.purgeNetworks(ctx),
		e.purgeVolumes(ctx),
		e.purgePause(ctx),
		e.purgeGatewayImages(ctx),
	)
}

func (e *Engine) purgeContainers(ctx context.Context) error {
	found, err := e.api.ContainerList(ctx, dockercontainer.ListOptions{All: true, Filters: e.own()})
	if err != nil {
		return failure("list containers", err)
	}
	errs := make([]error, len(found))
	var group errgroup.Group
	for i, c := range found {
		group.Go(func() error {
			errs[i] = e.Remove(ctx, c.ID)
			return nil
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

func (e *Engine) purgeNetworks(ctx context.Context) error {
	found, err := e.api.NetworkList(ctx, network.ListOptions{Filters: e.own()})
	if err != nil {
		return failure("list networks", err)
	}
	var errs []error
	for _, n := range found {
		if err := e.api.NetworkRemove(ctx, n.ID); err != nil && !cerrdefs.IsNotFound(err) {
			err = failure("remove network "+n.Name, err)
			if e.miscounts(ctx, n.ID) {
				err = fmt.Errorf("%w: no container is there, and an engine that counts one all the same does so until it is restarted; then try again", err)
			}
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// miscounts says whether the engine, which does not remove a network because of
// its containers, has none there.
func (e *Engine) miscounts(ctx context.Context, id string) bool {
	n, err := e.api.NetworkInspect(ctx, id, network.InspectOptions{})
	return err == nil && len(n.Containers) == 0
}

func (e *Engine) purgeVolumes(ctx context.Context) error {
	found, err := e.api.VolumeList(ctx, volume.ListOptions{Filters: e.own()})
	if err != nil {
		return failure("list volumes", err)
	}
	var errs []error
	for _, v := range found.Volumes {
		if err := e.api.VolumeRemove(ctx, v.Name, false); err != nil && !cerrdefs.IsNotFound(err) {
			errs = append(errs, failure("remove volume "+v.Name, err))
		}
	}
	return errors.Join(errs...)
}

// purgePause leaves it to the engine to say whether a container of another
// instance uses the image. One that is about to will load it again.
func (e *Engine) purgePause(ctx context.Context) error {
	ref, _, err := e.pauseImage(ctx)
	if err != nil {
		return err
	}
	found, err := e.api.ImageInspect(ctx, ref)
	if cerrdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return failure("inspect image "+ref, err)
	}
	if found.Config == nil || found.Config.Labels[labelPause] == "" {
		return nil // somebody else's image under that name
	}
	return e.removeUnusedImage(ctx, ref)
}

// removeUnusedImage leaves an image that a container uses. Where two remove the
// same one at once the engine can fail for the second, and a third may have
// loaded it anew by the time the second looks: hence more than one attempt.
func (e *Engine) removeUnusedImage(ctx context.Context, ref string) error {
	var err error
	for range 3 {
		_, err = e.api.ImageRemove(ctx, ref, image.RemoveOptions{})
		if err == nil || cerrdefs.IsNotFound(err) || cerrdefs.IsConflict(err) {
			return nil
		}
		if _, gone := e.api.ImageInspect(ctx, ref); cerrdefs.IsNotFound(gone) {
			return nil
		}
	}
	return failure("remove image "+ref, err)
}
