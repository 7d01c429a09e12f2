package docker

import (
	"context"
	"crypto/rand"

	dockercontainer "github.com/docker/docker/api/types/container"

	"skiff/runtime/container"
)

// createTool makes a container of skiff's own program, in a Pod's name: if skiff
// dies meanwhile, it goes with the Pod. It may do what host says, and no more.
func (e *Engine) createTool(ctx context.Context, pod container.Pod, as string, config *dockercontainer.Config, host *dockercontainer.HostConfig) (string, error) {
	leave, err := e.gate.enter(ctx, creating)
	if err != nil {
		return "", err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	spec := container.Spec{Pod: pod, Name: as}
	config.Labels = e.specLabels(spec)
	confine(host)
	return e.withProgram(ctx, func(ref string) (string, error) {
		config.Image = ref
		return e.make(ctx, config, host, nil, name(spec)+"_"+rand.Text())
	})
}

func (e *Engine) startTool(ctx context.Context, id string) error {
	leave, err := e.gate.enter(ctx, starting)
	if err != nil {
		return err
	}
	defer leave()
	return e.api.ContainerStart(ctx, id, dockercontainer.StartOptions{})
}
