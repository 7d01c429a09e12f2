package docker

import (
	"bytes"
	"context"
	"fmt"
	"strconv"

	cerrdefs "github.com/containerd/errdefs"
	dockercontainer "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"skiff/runtime/container"
)

// Create makes one attempt's container without starting it. It answers
// container.ErrConflict where that attempt exists already.
func (e *Engine) Create(ctx context.Context, spec container.Spec) (string, error) {
	leave, err := e.gate.enter(ctx, creating)
	if err != nil {
		return "", err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()

	var id string
	if err := e.canMount(spec.Mounts); err != nil {
		return "", err
	}
	if spec.Name == container.SandboxName {
		id, err = e.withPause(ctx, func(ref string) (string, error) {
			spec.ImageID = ref
			return e.create(ctx, spec)
		})
	} else {
		id, err = e.create(ctx, spec)
	}
	if err != nil {
		return "", e.judge(ctx, failure("create container "+name(spec), err))
	}
	return scheme + id, nil
}

// withPause makes a container from the pause image.
func (e *Engine) withPause(ctx context.Context, create func(ref string) (id string, err error)) (string, error) {
	ref, archive, err := e.pauseImage(ctx)
	if err != nil {
		return "", err
	}
	return withImage(
		func() (string, error) { return create(ref) },
		func() error { return e.load(ctx, bytes.NewReader(archive)) },
	)
}

// imageLoads is how often an image is brought along for one container: purges of
// other instances can come between.
const imageLoads = 5

// withImage makes a container from an image of skiff's own, which it loads only
// when the engine says that it has none: the first time, and after another
// instance's purge.
func withImage(create func() (id string, err error), load func() error) (string, error) {
	id, err := create()
	for range imageLoads {
		if !cerrdefs.IsNotFound(err) {
			break
		}
		if err := load(); err != nil {
			return "", err
		}
		id, err = create()
	}
	return id, err
}

func (e *Engine) create(ctx context.Context, spec container.Spec) (string, error) {
	config, host, net := e.translate(spec)
	return e.make(ctx, config, host, net, name(spec))
}

// make makes a container of any kind. The engine does so even where its client
// has gone meanwhile: one whose ID nobody knows would come to be after all that
// there was has been removed.
func (e *Engine) make(ctx context.Context, config *dockercontainer.Config, host *dockercontainer.HostConfig, net *network.NetworkingConfig, name string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	ctx, cancel := outlasting(ctx)
	defer cancel()
	made, err := e.api.ContainerCreate(ctx, config, host, net, nil, name)
	return made.ID, err
}

// name follows the kubelet's convention.
func name(s container.Spec) string {
	return fmt.Sprintf("k8s_%s_%s_%s_%s_%d", s.Name, s.Pod.Name, s.Pod.Namespace, s.Pod.UID, s.Attempt)
}

// translate says in the engine's words what the spec asks for.
func (e *Engine) translate(spec container.Spec) (*dockercontainer.Config, *dockercontainer.HostConfig, *network.NetworkingConfig) {
	config := &dockercontainer.Config{
		Image: spec.ImageID,
		// The engine takes the image's Cmd only where neither is set, which is
		// Kubernetes' rule, too: a command drops the image's arguments.
		Entrypoint: spec.Entrypoint,
		Cmd:        spec.Cmd,
		Env:        spec.Env,
		WorkingDir: spec.WorkingDir,
		Tty:        spec.TTY,
		OpenStdin:  spec.Stdin,
		StdinOnce:  spec.StdinOnce,
		Labels:     e.specLabels(spec),
		// Health is what the Pod's probes say; an image's own check would only
		// cost processor time.
		Healthcheck: &dockercontainer.HealthConfig{Test: []string{"NONE"}},
	}
	host := &dockercontainer.HostConfig{
		RestartPolicy: dockercontainer.RestartPolicy{Name: dockercontainer.RestartPolicyDisabled},
		LogConfig:     logConfig(),
	}
	bound(host, spec.Resources)
	secure(config, host, spec.Security)
	for _, m := range spec.Mounts {
		host.Mounts = append(host.Mounts, e.mount(m))
	}
	host.IpcMode = dockercontainer.IpcMode(namespace(spec.Namespaces.IPC))
	host.PidMode = dockercontainer.PidMode(namespace(spec.Namespaces.PID))
	if spec.Name == container.SandboxName {
		confine(host)
		if host.IpcMode == "" {
			host.IpcMode = dockercontainer.IPCModeShareable
		}
	}
	if spec.Network.Sandbox != "" {
		// As in any Pod, the containers share what the sandbox has: addresses,
		// host name and /etc/hosts.
		host.NetworkMode = dockercontainer.NetworkMode(namespace(spec.Network.Sandbox))
		return config, host, nil
	}
	config.Hostname, config.Domainname = spec.Hostname, spec.Domain
	host.ExtraHosts = spec.Hosts
	if spec.Network.Host {
		host.NetworkMode = network.NetworkHost
		return config, host, nil
	}
	host.NetworkMode = dockercontainer.NetworkMode(e.networkName())
	return config, host, &network.NetworkingConfig{
		EndpointsConfig: map[string]*network.EndpointSettings{
			e.networkName(): {IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: spec.Network.Address.String()}},
		},
	}
}

// namespace is in the engine's words whose namespace a container has.
func namespace(of string) string {
	if of == "" || of == container.HostNamespace {
		return of
	}
	return "container:" + engineID(of)
}

// logConfig bounds what is kept of a container's output.
func logConfig() dockercontainer.LogConfig {
	return dockercontainer.LogConfig{
		Type:   "json-file",
		Config: map[string]string{"max-size": "10m", "max-file": "3"},
	}
}

func (e *Engine) specLabels(spec container.Spec) map[string]string {
	l := e.labels()
	l[labelPodName] = spec.Pod.Name
	l[labelPodNamespace] = spec.Pod.Namespace
	l[labelPodUID] = spec.Pod.UID
	l[labelName] = spec.Name
	l[labelAttempt] = strconv.Itoa(spec.Attempt)
	l[labelHash] = spec.Hash
	l[labelImage] = spec.Image
	if spec.Round > 0 {
		l[labelRound] = strconv.Itoa(spec.Round)
	}
	if spec.Network.Address.IsValid() {
		l[labelAddress] = spec.Network.Address.String()
	}
	return l
}
