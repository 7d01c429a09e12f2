package node

import (
	"context"
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
	own.Sysctls = spec.Security.Sysctls
	spec.Security = own
	spec.Resources = limits(s.pod, s.c, s.allocatable.Memory().Value())
	return nil
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
