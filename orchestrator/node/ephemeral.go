package node

import corev1 "k8s.io/api/core/v1"

// joinable says whether an ephemeral container can begin: the network that it
// joins is there, and so is the container whose processes it wants to see.
func (s *state) joinable(u *unit) bool {
	host := s.netOwner()
	if !s.mounted || !host.running() || host.suspect || host.cur.Detached {
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
