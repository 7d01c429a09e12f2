package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"skiff/runtime/container"
)

// Logs reads what the container that opts names wrote. Which attempt, the Pod's status
// says, so that logs can be read of Pods in any state. Errors are the API's.
func (w *Worker) Logs(ctx context.Context, pod *corev1.Pod, opts *corev1.PodLogOptions) (io.ReadCloser, error) {
	name := opts.Container
	id, err := logID(pod, name, opts.Previous)
	if err != nil {
		return nil, err
	}
	options := container.LogOptions{Follow: opts.Follow, Tail: -1, Timestamps: opts.Timestamps}
	if opts.TailLines != nil {
		options.Tail = *opts.TailLines
	}
	switch {
	case opts.SinceTime != nil:
		options.Since = opts.SinceTime.Time
	case opts.SinceSeconds != nil:
		options.Since = time.Now().Add(-time.Duration(*opts.SinceSeconds) * time.Second)
	}
	stream, err := w.Engine.Logs(ctx, id, options)
	if errors.Is(err, container.ErrNotFound) {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("container %q in pod %q has no logs any more: it was removed from the engine", name, pod.Name))
	}
	if err != nil {
		return nil, fmt.Errorf("read logs of container %s: %w", name, err)
	}
	if opts.LimitBytes == nil {
		return stream, nil
	}
	return struct {
		io.Reader
		io.Closer
	}{io.LimitReader(stream, *opts.LimitBytes), stream}, nil
}

// logID finds the container that the kubelet would read.
func logID(pod *corev1.Pod, name string, previous bool) (string, error) {
	var cs corev1.ContainerStatus
	for _, c := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses, pod.Status.EphemeralContainerStatuses) {
		if c.Name == name {
			cs = c
		}
	}
	last := cs.LastTerminationState.Terminated
	switch {
	case previous && last != nil && last.ContainerID != "":
		return last.ContainerID, nil
	case previous:
		return "", apierrors.NewBadRequest(fmt.Sprintf("previous terminated container %q in pod %q not found", name, pod.Name))
	case cs.State.Running != nil:
		return cs.ContainerID, nil
	case cs.State.Terminated != nil && cs.State.Terminated.ContainerID != "":
		return cs.State.Terminated.ContainerID, nil
	case last != nil && last.ContainerID != "":
		return last.ContainerID, nil
	}
	reason := reasonContainerCreating
	if len(pod.Spec.InitContainers) > 0 {
		reason = reasonPodInitializing
	}
	if w := cs.State.Waiting; w != nil {
		reason = w.Reason
	}
	switch reason {
	case reasonErrImagePull:
		reason = "image can't be pulled"
	case reasonImagePullBackOff:
		reason = "trying and failing to pull image"
	}
	return "", apierrors.NewBadRequest(fmt.Sprintf("container %q in pod %q is waiting to start: %s", name, pod.Name, reason))
}
