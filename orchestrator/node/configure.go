package node

import (
	"context"
	"errors"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"skiff/runtime/container"
)

// setup is what a container's configuration is made from.
type setup struct {
	pod   *corev1.Pod
	c     *corev1.Container
	image container.Image
	facts
}

// setup takes from the state what the next attempt at a container needs.
func (p *pod) setup(u *unit) setup {
	return setup{
		pod: p.s.pod, c: p.s.spec(u.name), image: *u.image,
		facts: facts{podIP: p.s.address, hostIP: p.HostIP, allocatable: p.capacity(diskSize(p.DataDir))},
	}
}

// specify completes the spec of a container's next attempt, which joins the sandbox,
// where there is one. An error is why it must not be started.
func (p *pod) specify(u, sandbox *unit) func(context.Context) (container.Spec, error) {
	pod, c, spec := p.s.pod, p.s.spec(u.name), containerSpec(p.s, u, sandbox)
	from, volumes, stale := p.setup(u), p.s.volumes, staleWords(u)
	return func(ctx context.Context) (container.Spec, error) {
		err := p.configure(ctx, from, &spec)
		if err != nil { // what it waits for has it tried again at once
			return spec, delayed{error: err, delay: lookAgain}
		}
		spec.Mounts, err = p.allMounts(ctx, pod, c, volumes, spec, stale)
		return spec, err
	}
}

// configure completes a container's spec with what must be looked up first. An
// error is why the container must not be started.
func (p *pod) configure(ctx context.Context, s setup, spec *container.Spec) error {
	env, err := p.environment(ctx, s)
	if err != nil {
		return err
	}
	spec.Env = env.list()
	spec.Entrypoint = expandAll(s.c.Command, env.values)
	spec.Cmd = expandAll(s.c.Args, env.values)
	own, err := security(s.pod, s.c, s.image.User)
	if err != nil {
		return err
	}
	if own.Seccomp, err = p.seccomp(effectiveSecurity(s.pod, s.c).SeccompProfile); err != nil {
		return err
	}
	if own.SELinux != (container.SELinux{}) && !p.Machine.SELinux && spec.Attempt == 0 {
		p.events.warn(s.pod, s.c.Name, reasonNoSELinux, "securityContext.seLinuxOptions has no effect: the container engine does not use SELinux")
	}
	own.Sysctls = spec.Security.Sysctls
	spec.Security = own
	spec.Resources = limits(s.pod, s.c, s.allocatable.Memory().Value())
	return nil
}

// allMounts are the container's volumes and the files that skiff adds to them.
func (p *pod) allMounts(ctx context.Context, pod *corev1.Pod, c *corev1.Container, volumes map[string]container.Mount, spec container.Spec, stale int) ([]container.Mount, error) {
	mounts, err := p.mounts(ctx, pod, c, volumes, spec.Env)
	if err != nil {
		return nil, err
	}
	files, err := p.files(pod, c, spec.Attempt, stale)
	if err != nil {
		return nil, err
	}
	return append(mounts, files...), nil
}

// misconfigured tells why a container is not even made.
func (p *pod) misconfigured(u *unit, pod *corev1.Pod, c *corev1.Container, err error) (func(), error) {
	reason := reasonConfigError
	if creation := (creationError{}); errors.As(err, &creation) {
		reason = reasonCreateError
	}
	p.events.warn(pod, c.Name, reasonFailed, "Error: %v", err)
	return func() { u.wait = &waiting{reason: reason, message: err.Error()} }, err
}

// capacity is what the node has for Pods.
func (w *shared) capacity(disk int64) corev1.ResourceList {
	capacity := corev1.ResourceList{ // of the machine
		corev1.ResourceCPU:              *resource.NewQuantity(int64(w.Machine.CPUs), resource.DecimalSI),
		corev1.ResourceMemory:           *resource.NewQuantity(w.Machine.Memory, resource.BinarySI),
		corev1.ResourceEphemeralStorage: *resource.NewQuantity(disk, resource.BinarySI),
		corev1.ResourcePods:             *resource.NewQuantity(mostPods, resource.DecimalSI),
	}
	maps.Copy(capacity, w.Capacity)
	return capacity
}
