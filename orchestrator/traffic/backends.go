package traffic

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"

	"skiff/orchestrator/resource"
	endpoints "skiff/orchestrator/service"
	"skiff/proxy/gateway"
	"skiff/proxy/pool"
	"skiff/proxy/switchboard"
)

// defaultRequests bounds requests to what is no Pod, or one that grants itself
// no time.
const defaultRequests = 30 * time.Second

// backend is something that a Service leads to: a Pod, or an endpoint that
// somebody wrote down.
type backend struct {
	id                string // of a Pod; what somebody wrote down has none, and is known by where it is
	ip                string
	revision          string // of the application; empty where nothing tells
	hostname          string // its own name below the Service's
	streams, requests time.Duration
	port              func(corev1.ServicePort) (int32, bool)
}

func (b backend) member(number int32) switchboard.Member {
	address := net.JoinHostPort(b.ip, strconv.Itoa(int(number)))
	if b.ip == gateway.API {
		address = gateway.API
	}
	return switchboard.Member{
		Member:   pool.Member{ID: cmp.Or(b.id, "endpoint "+address), Address: address, Revision: b.revision},
		Streams:  b.streams,
		Requests: b.requests,
	}
}

// backends are what a Service leads to now; mu is held.
func (d *Director) backends(s *service, around surroundings) []backend {
	switch {
	case endpoints.IsAPI(s.object):
		return []backend{apiBackend()}
	case len(s.object.Spec.Selector) == 0:
		return d.withoutLoops(s, d.endpointsOf(s))
	}
	var out []backend
	for _, pod := range d.ready {
		if pod.Namespace == s.namespace && s.selector.Matches(labels.Set(pod.Labels)) {
			out = append(out, podBackend(s.object, pod))
		}
	}
	if s.object.Spec.PublishNotReadyAddresses {
		for _, pod := range around.pods {
			if d.ready[pod.UID] == nil && publishes(s.object, pod) && s.selector.Matches(labels.Set(pod.Labels)) {
				out = append(out, podBackend(s.object, pod))
			}
		}
	}
	slices.SortFunc(out, func(a, b backend) int { return cmp.Compare(a.id, b.id) })
	return out
}

// publishes says whether a Service that asks for Pods which are not ready has
// this one. A name is of use until the end: those that are left find the one that
// leaves. What is forwarded goes to none that is to end.
func publishes(svc *corev1.Service, pod *corev1.Pod) bool {
	named := svc.Spec.ClusterIP == corev1.ClusterIPNone && !resource.IsFinished(pod)
	return pod.Status.PodIP != "" && (named || resource.IsActive(pod))
}

func podBackend(svc *corev1.Service, pod *corev1.Pod) backend {
	b := backend{
		id: string(pod.UID), ip: pod.Status.PodIP,
		streams: resource.DrainTime(pod), requests: defaultRequests,
		port: func(p corev1.ServicePort) (int32, bool) { return resource.TargetPort(p, &pod.Spec) },
	}
	if owner := metav1.GetControllerOf(pod); owner != nil {
		b.revision = owner.Name
	}
	if grace := pod.Spec.TerminationGracePeriodSeconds; grace != nil {
		b.requests = time.Duration(*grace) * time.Second
	}
	if pod.Spec.Hostname != "" && pod.Spec.Subdomain == svc.Name {
		b.hostname = pod.Spec.Hostname
	}
	return b
}

// apiBackend is the API itself, which the gateway reaches through the daemon.
func apiBackend() backend {
	return backend{
		id: gateway.API, ip: gateway.API,
		streams: defaultRequests, requests: defaultRequests,
		port: func(p corev1.ServicePort) (int32, bool) { return p.Port, true },
	}
}

// endpointsOf are what was written down by hand for a Service that selects
// nothing: slices, or, where there are none, the older object.
func (d *Director) endpointsOf(s *service) []backend {
	var out []backend
	slices, err := d.slices.EndpointSlices(s.namespace).List(labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: s.object.Name}))
	if err != nil {
		d.Log.Error("look for endpoints", "service", s.key, "error", err)
	}
	for _, slice := range slices {
		if slice.AddressType != discoveryv1.AddressTypeIPv4 || !endpoints.HandMade(slice) {
			continue
		}
		for _, e := range slice.Endpoints {
			if ptr.Deref(e.Conditions.Ready, true) || s.object.Spec.PublishNotReadyAddresses {
				out = append(out, endpointBackends(e.Addresses, ptr.Deref(e.Hostname, ""), slice.Ports)...)
			}
		}
	}
	if len(slices) > 0 {
		return out
	}
	older, err := d.endpoints.Endpoints(s.namespace).Get(s.object.Name)
	if err != nil || !endpoints.HandMade(older) {
		return nil
	}
	for _, subset := range older.Subsets {
		addresses := subset.Addresses
		if s.object.Spec.PublishNotReadyAddresses {
			addresses = append(addresses[:len(addresses):len(addresses)], subset.NotReadyAddresses...)
		}
		var ports []discoveryv1.EndpointPort
		for _, p := range subset.Ports {
			ports = append(ports, discoveryv1.EndpointPort{Name: &p.Name, Port: &p.Port, Protocol: &p.Protocol})
		}
		for _, a := range addresses {
			out = append(out, endpointBackends([]string{a.IP}, a.Hostname, ports)...)
		}
	}
	return out
}

// withoutLoops leaves out endpoints by which the gateway would call itself, over
// and over.
func (d *Director) withoutLoops(s *service, all []backend) []backend {
	var loops []string
	kept := slices.DeleteFunc(all, func(b backend) bool {
		address, err := netip.ParseAddr(b.ip)
		own := err == nil && slices.ContainsFunc(d.Own, func(p netip.Prefix) bool { return p.Contains(address.Unmap()) })
		if own {
			loops = append(loops, b.ip)
		}
		return own
	})
	slices.Sort(loops)
	if len(loops) > 0 && !slices.Equal(loops, s.loops) {
		d.Log.Warn("an endpoint must not be the address of a Service; leaving it out", "service", s.key, "addresses", loops)
	}
	s.loops = loops
	return kept
}

func endpointBackends(addresses []string, hostname string, ports []discoveryv1.EndpointPort) []backend {
	var out []backend
	for _, ip := range addresses {
		out = append(out, backend{
			ip: ip, hostname: hostname,
			streams: resource.DefaultDrain, requests: defaultRequests,
			port: func(p corev1.ServicePort) (int32, bool) {
				for _, e := range ports {
					if ptr.Deref(e.Name, "") == p.Name && ptr.Deref(e.Protocol, corev1.ProtocolTCP) == protocolName(p.Protocol) {
						return ptr.Deref(e.Port, p.Port), true
					}
				}
				return 0, false
			},
		})
	}
	return out
}
