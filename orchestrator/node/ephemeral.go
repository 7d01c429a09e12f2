package node

import (
	"context"
	"errors"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"skiff/runtime/container"
)

// joinable says whether an ephemeral container can begin: the network that it
// joins is there, and so is the container whose processes it wants to see.
func (s *state) joinable(u *unit) bool {
	host := s.netOwner()
	stands := s.onTheHost(s.sandbox) || host.running() && !host.suspect && !host.cur.Detached
	if !s.mounted || !s.address.IsValid() || !stands {
		return false
	}
	target := s.target(u)
	return target == nil || target.running()
}

// netOwner is whoever holds the Pod's network namespace.
func (s *state) netOwner() *unit {
	if s.sandbox != nil {
		return s.sandbox
	}
	return s.units[0]
}

// onTheHost says whether each of the Pod's containers is on the machine's own network
// by itself, and needs nobody who owns it.
func (s *state) onTheHost(sandbox *unit) bool { return sandbox == nil && s.pod.Spec.HostNetwork }

// awaited says whether an ephemeral container waits for the Pod's network.
func (s *state) awaited() bool {
	return slices.ContainsFunc(s.ephemerals, func(u *unit) bool { return u.cur == nil })
}

var errNetworkEnded = errors.New("the container has ended whose network was to be joined")

// networkEnded is an error if an ephemeral container, which is never started twice,
// could not be started for an end that nobody knew of yet.
func (p *pod) networkEnded(ctx context.Context, a *attempt) error {
	if a.Sandbox == "" {
		return nil
	}
	owner, err := p.Engine.Inspect(ctx, a.Sandbox)
	switch {
	case errors.Is(err, container.ErrNotFound), err == nil && owner.State != container.Running:
		return errNetworkEnded
	}
	return err
}

// tellLeftBehind tells of ephemeral containers that run on in a network which is not
// the Pod's any more. On a cluster only a sandbox owns a network, and most ends are
// no reason to throw out who is at work there.
func (p *pod) tellLeftBehind() {
	owner := p.s.netOwner()
	if !owner.running() || p.s.pod.Spec.HostNetwork {
		return
	}
	for _, u := range p.s.ephemerals {
		if u.running() && !u.down && !u.stranded && u.cur.Sandbox != owner.cur.ID {
			u.stranded = true
			p.events.warn(p.s.pod, u.name, reasonNetworkLost, "The Pod has a new network. This container runs on in the old one, "+
				"where it reaches nobody; an ephemeral container that is added now joins the new one")
		}
	}
}

// target is the container whose processes an ephemeral one sees; nil if it
// sees its own.
func (s *state) target(u *unit) *unit {
	if c := s.ephemeral(u.name); c != nil && c.TargetContainerName != "" {
		return s.unit(c.TargetContainerName)
	}
	return nil
}

func (s *state) ephemeral(name string) *corev1.EphemeralContainer {
	list := s.pod.Spec.EphemeralContainers
	for i := range list {
		if list[i].Name == name {
			return &list[i]
		}
	}
	return nil
}
