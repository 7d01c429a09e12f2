package node

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"skiff/orchestrator/resource"
	"skiff/runtime/container"
)

// share says which namespaces a container has of its own, and whose it has
// otherwise: those of the sandbox, where there is one.
func (s *state) share(u, sandbox *unit, spec *container.Spec) {
	pod := &s.pod.Spec
	owner := sandbox
	if owner == nil {
		owner = s.units[0]
	}
	if owner == u || s.onTheHost(sandbox) {
		s.name(spec)
	} else {
		spec.Network.Sandbox = owner.cur.ID
	}
	if sandbox != nil && sandbox != u {
		spec.Namespaces.IPC = sandbox.cur.ID
		if isTrue(pod.ShareProcessNamespace) {
			spec.Namespaces.PID = sandbox.cur.ID
		}
	}
	if target := s.target(u); target != nil {
		spec.Namespaces.PID = target.cur.ID
	}
	if pod.HostIPC {
		spec.Namespaces.IPC = container.HostNamespace
	}
	if pod.HostPID {
		spec.Namespaces.PID = container.HostNamespace
	}
}

// strand takes note that a container has ended whose network others have joined:
// also if it runs again by now, that is another network. Ephemeral ones run on in
// what is left of it: somebody may be at work there.
func (s *state) strand(owner string) {
	for _, u := range slices.Concat(s.inits, s.units) {
		u.stranded = u.stranded || u.running() && u.cur.Sandbox == owner && !s.pod.Spec.HostNetwork
	}
}

// strandAdopted takes note of the same where no worker saw it.
func (s *state) strandAdopted() {
	owner := s.netOwner().cur
	for _, u := range slices.Concat(s.inits, s.units) {
		if !u.running() || u.cur.Sandbox == "" || s.pod.Spec.HostNetwork {
			continue
		}
		u.stranded = owner == nil || owner.ID != u.cur.Sandbox || owner.State != container.Running || owner.StartedAt.After(u.cur.StartedAt)
	}
}

// name gives the owner of the Pod's network its address and its names.
func (s *state) name(spec *container.Spec) {
	for _, alias := range s.pod.Spec.HostAliases {
		for _, name := range alias.Hostnames {
			spec.Hosts = append(spec.Hosts, name+":"+alias.IP)
		}
	}
	spec.Security.Sysctls = sysctls(s.pod)
	if s.pod.Spec.HostNetwork {
		spec.Network.Host = true // and the machine's own name
		return
	}
	spec.Network.Address = s.address
	spec.Hostname, spec.Domain = hostname(s.pod), domain(s.pod)
	if isTrue(s.pod.Spec.SetHostnameAsFQDN) && spec.Domain != "" {
		spec.Hostname, spec.Domain = spec.Hostname+"."+spec.Domain, ""
	}
}

// hostname is the Pod's name, as far as a host name can be so long.
func hostname(pod *corev1.Pod) string {
	name := pod.Name
	if pod.Spec.Hostname != "" {
		name = pod.Spec.Hostname
	}
	if len(name) > 63 {
		name = strings.TrimRight(name[:63], "-.")
	}
	return name
}

// domain is what follows the host name of a Pod that belongs to a subdomain.
func domain(pod *corev1.Pod) string {
	if pod.Spec.Subdomain == "" {
		return ""
	}
	return pod.Spec.Subdomain + "." + pod.Namespace + ".svc." + resource.Domain
}
