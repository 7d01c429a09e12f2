package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/distribution/reference"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"skiff/runtime/container"
)

// How often a pull that takes its time says how far it is.
const pullNews = 5 * time.Second

// When to look again for an image that was not there and is not to be pulled:
// somebody may be building it.
const lookAgain = 5 * time.Second

// imageError is why a container has no image, as its status says it.
type imageError struct{ reason, message string }

func (e *imageError) Error() string { return e.message }

// provideImage finds the image for a container's next attempt, pulling it if
// the policy asks for that.
func (p *pod) provideImage(u *unit) task {
	pod, c := p.s.pod, p.s.spec(u.name)
	first, pull := u.cur == nil, u.pull
	return func(ctx context.Context) (func(), error) {
		image, err := p.image(ctx, pod, c, first)
		if err == nil {
			return func() { u.image, u.wait, u.pull = &image, nil, backoff{} }, nil
		}
		if ctx.Err() != nil || unavailable(err) {
			return nil, err
		}
		now := time.Now()
		var why *imageError
		if !errors.As(err, &why) {
			why = &imageError{reason: reasonImageInspect, message: err.Error()}
		}
		p.events.warn(pod, c.Name, reasonFailed, "Error: %s", why.reason)
		wait := &waiting{reason: why.reason, message: why.Error(), since: now}
		if why.reason != reasonErrImagePull {
			return func() { u.wait = wait }, delayed{error: err, delay: lookAgain}
		}
		next := pull.next(now, now)
		return func() { u.wait, u.pull = wait, next }, delayed{error: err, delay: next.delay}
	}
}

// image applies the pull policy. Alone of what it does differently from the
// kubelet: with policy Always, which is the default for :latest, an image that
// was built here and that no registry knows is used as it is.
func (p *pod) image(ctx context.Context, pod *corev1.Pod, c *corev1.Container, first bool) (container.Image, error) {
	if _, err := reference.ParseNormalizedNamed(c.Image); err != nil {
		text := fmt.Sprintf("Failed to apply default image tag %q: couldn't parse image name %q: %v", c.Image, c.Image, err)
		p.events.warn(pod, c.Name, reasonInspectFailed, "%s", text)
		return container.Image{}, &imageError{reason: reasonInvalidImage, message: text}
	}
	local, err := p.images.local(ctx, c.Image)
	present := err == nil
	if unavailable(err) {
		return local, err
	}
	if !present && !errors.Is(err, container.ErrNotFound) {
		p.events.warn(pod, c.Name, reasonInspectFailed, "Failed to inspect image %q: %v", c.Image, err)
		return local, err
	}
	switch {
	case present && (c.ImagePullPolicy != corev1.PullAlways || len(local.Digests) == 0):
		p.events.normal(pod, c.Name, reasonPulled, "Container image %q already present on machine%s", c.Image, p.origin(local, first))
		return local, nil
	case c.ImagePullPolicy == corev1.PullNever:
		text := fmt.Sprintf("Container image %q is not present with pull policy of Never", c.Image)
		p.events.warn(pod, c.Name, reasonNeverPull, "%s", text)
		return local, &imageError{reason: reasonNeverPull, message: text}
	}
	pulled, err := p.pullImage(ctx, pod, c)
	if err == nil || ctx.Err() != nil || !present {
		return pulled, err
	}
	p.events.normal(pod, c.Name, reasonPulled, "Container image %q could not be pulled but is present on machine: using local image %s, built %s ago",
		c.Image, shortID(local.ID), duration.HumanDuration(time.Since(local.CreatedAt)))
	return local, nil
}

func (p *pod) pullImage(ctx context.Context, pod *corev1.Pod, c *corev1.Container) (container.Image, error) {
	begun := time.Now()
	p.events.normal(pod, c.Name, reasonPulling, "Pulling image %q", c.Image)
	image, err := p.pullAs(ctx, c.Image, p.credentials(ctx, pod, c), func(have, total int64) {
		p.events.normal(pod, c.Name, reasonPulling, "Pulling image %q: %d of %d MB after %s",
			c.Image, have>>20, total>>20, time.Since(begun).Round(time.Second))
	})
	if err != nil {
		if ctx.Err() == nil {
			p.events.warn(pod, c.Name, reasonFailed, "Failed to pull image %q: %v", c.Image, err)
		}
		return image, &imageError{reason: reasonErrImagePull, message: err.Error()}
	}
	p.events.normal(pod, c.Name, reasonPulled, "Successfully pulled image %q in %s. Image size: %d bytes.",
		c.Image, time.Since(begun).Round(time.Millisecond), image.Size)
	return image, nil
}

// origin tells which build of an image is used that only this machine has. A
// restart keeps quiet about it, so that its events stay equal and are counted.
func (p *pod) origin(image container.Image, first bool) string {
	if !first || len(image.Digests) > 0 || image.CreatedAt.IsZero() {
		return ""
	}
	return fmt.Sprintf(": using local image %s, built %s ago", shortID(image.ID), duration.HumanDuration(time.Since(image.CreatedAt)))
}

func shortID(id string) string {
	const shown = len("sha256:") + 12
	if strings.HasPrefix(id, "sha256:") && len(id) > shown {
		return id[:shown]
	}
	return id
}

// backOffPull says that the failed pull is not tried again for a while.
func (p *pod) backOffPull(u *unit) task {
	pod, c, cause := p.s.pod, p.s.spec(u.name), u.wait.message
	return func(context.Context) (func(), error) {
		text := fmt.Sprintf("Back-off pulling image %q", c.Image)
		p.events.normal(pod, c.Name, reasonBackOff, "%s", text)
		p.events.warn(pod, c.Name, reasonFailed, "Error: %s", reasonImagePullBackOff)
		return func() {
			u.wait = &waiting{reason: reasonImagePullBackOff, message: text + ": " + reasonErrImagePull + ": " + cause, since: time.Now()}
		}, nil
	}
}
