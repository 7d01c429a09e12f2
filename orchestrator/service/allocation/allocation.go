// Package allocation gives Services their cluster addresses and node ports. It
// decides from values alone: the Service as it is asked for, as it was, every
// other Service that is stored, and which ports other programs have; the caller
// holds the lock that keeps the stored ones true until the result is written.
package allocation

import (
	"errors"
	"fmt"
	"math/rand/v2"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

// Kubernetes' own words for a choice that cannot be had.
var (
	errPortAllocated    = errors.New("provided port is already allocated")
	errAddressAllocated = errors.New("provided IP is already allocated")
	errRangeFull        = errors.New("range is full")
	errNotIPv4          = errors.New("the provided network does not match the current range")
)

// Assign completes svc: it keeps what old had, honours what svc asks for and
// chooses the rest at random. old is nil for a new Service; svc itself may be
// among stored. Nothing has to be released: what no stored Service holds is
// free.
func Assign(ranges Ranges, svc, old *corev1.Service, stored []*corev1.Service) field.ErrorList {
	if svc.Spec.Type == corev1.ServiceTypeExternalName {
		return nil
	}
	others := make([]*corev1.Service, 0, len(stored))
	for _, s := range stored {
		if s.Namespace != svc.Namespace || s.Name != svc.Name {
			others = append(others, s)
		}
	}
	errs := assignAddress(ranges, svc, old, others)
	return append(errs, assignPorts(ranges, svc, old, others)...)
}

// Requested tells which node ports that svc asks for by number Assign would refuse
// after the others were stored.
func Requested(svc *corev1.Service, others []*corev1.Service) field.ErrorList {
	if !usesNodePorts(svc) {
		return nil
	}
	return checkRequested(Ranges{}, svc, nil, usedPorts(others))
}

func assignAddress(ranges Ranges, svc, old *corev1.Service, others []*corev1.Service) field.ErrorList {
	ip := svc.Spec.ClusterIP
	if ip == corev1.ClusterIPNone {
		return nil
	}
	if old != nil && ip != "" && ip == old.Spec.ClusterIP {
		return nil
	}
	used := usedAddresses(others)
	if ip == "" {
		chosen, err := ranges.freeAddress(used, rand.N[uint32])
		if err != nil {
			return field.ErrorList{field.InternalError(field.NewPath("spec", "clusterIPs"), fmt.Errorf("failed to allocate a serviceIP: %w", err))}
		}
		svc.Spec.ClusterIP = chosen.String()
		svc.Spec.ClusterIPs = []string{svc.Spec.ClusterIP}
		return nil
	}
	if err := ranges.checkAddress(ip, used); err != nil {
		return field.ErrorList{field.Invalid(field.NewPath("spec", "clusterIPs"), svc.Spec.ClusterIPs, fmt.Sprintf("failed to allocate IP %v: %v", ip, err))}
	}
	return nil
}

func assignPorts(ranges Ranges, svc, old *corev1.Service, others []*corev1.Service) field.ErrorList {
	if !usesNodePorts(svc) {
		return nil
	}
	used := usedPorts(others)
	// A port that a field of this very Service asks for is honoured first, so
	// that no choice made here takes it away.
	errs := checkRequested(ranges, svc, heldPorts(old), used)
	if len(errs) > 0 {
		return errs
	}
	return chooseMissing(ranges, svc, used)
}

// checkRequested verifies the ports that svc names and marks them as used.
func checkRequested(ranges Ranges, svc *corev1.Service, held, used map[int32]bool) field.ErrorList {
	var errs field.ErrorList
	own := map[int32]bool{}
	check := func(port int32, path *field.Path) {
		if port == 0 || own[port] {
			return
		}
		own[port] = true
		if held[port] {
			return
		}
		if err := ranges.checkPort(port, used); err != nil {
			errs = append(errs, field.Invalid(path, port, err.Error()))
		}
	}
	ports := field.NewPath("spec", "ports")
	for i := range svc.Spec.Ports {
		check(svc.Spec.Ports[i].NodePort, ports.Index(i).Child("nodePort"))
	}
	check(svc.Spec.HealthCheckNodePort, field.NewPath("spec", "healthCheckNodePort"))
	for port := range own {
		used[port] = true
	}
	return errs
}

func chooseMissing(ranges Ranges, svc *corev1.Service, used map[int32]bool) field.ErrorList {
	byPort := map[int32]int32{}
	for _, p := range svc.Spec.Ports {
		if p.NodePort != 0 {
			byPort[p.Port] = p.NodePort
		}
	}
	for i := range svc.Spec.Ports {
		p := &svc.Spec.Ports[i]
		if p.NodePort != 0 || !choosesNodePorts(svc) {
			continue
		}
		// TCP and UDP of one Service port share a node port, as upstream.
		if shared, ok := byPort[p.Port]; ok {
			p.NodePort = shared
			continue
		}
		chosen, err := ranges.freePort(used, rand.N[uint32])
		if err != nil {
			return field.ErrorList{field.InternalError(field.NewPath("spec", "ports").Index(i).Child("nodePort"), fmt.Errorf("failed to allocate a nodePort: %w", err))}
		}
		p.NodePort, byPort[p.Port], used[chosen] = chosen, chosen, true
	}
	if needsHealthCheck(svc) && svc.Spec.HealthCheckNodePort == 0 {
		chosen, err := ranges.freePort(used, rand.N[uint32])
		if err != nil {
			return field.ErrorList{field.InternalError(field.NewPath("spec", "healthCheckNodePort"), fmt.Errorf("failed to allocate a nodePort: %w", err))}
		}
		svc.Spec.HealthCheckNodePort = chosen
	}
	return nil
}

func usesNodePorts(svc *corev1.Service) bool {
	return svc.Spec.Type == corev1.ServiceTypeNodePort || svc.Spec.Type == corev1.ServiceTypeLoadBalancer
}

func choosesNodePorts(svc *corev1.Service) bool {
	return svc.Spec.Type == corev1.ServiceTypeNodePort || ptr.Deref(svc.Spec.AllocateLoadBalancerNodePorts, true)
}

func needsHealthCheck(svc *corev1.Service) bool {
	return svc.Spec.Type == corev1.ServiceTypeLoadBalancer && svc.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
}

// heldPorts are the node ports that svc has; none where it is nil.
func heldPorts(svc *corev1.Service) map[int32]bool {
	held := map[int32]bool{}
	if svc == nil {
		return held
	}
	for _, p := range svc.Spec.Ports {
		held[p.NodePort] = true
	}
	held[svc.Spec.HealthCheckNodePort] = true
	delete(held, 0)
	return held
}

func usedPorts(services []*corev1.Service) map[int32]bool {
	used := map[int32]bool{}
	for _, s := range services {
		for port := range heldPorts(s) {
			used[port] = true
		}
	}
	return used
}

func usedAddresses(services []*corev1.Service) map[string]bool {
	used := map[string]bool{}
	for _, s := range services {
		if s.Spec.ClusterIP != "" && s.Spec.ClusterIP != corev1.ClusterIPNone {
			used[s.Spec.ClusterIP] = true
		}
	}
	return used
}
