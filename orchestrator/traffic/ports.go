package traffic

import (
	"cmp"
	"net"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"skiff/orchestrator/resource"
	"skiff/proxy"
	"skiff/proxy/switchboard"
)

// protocol is what a Service's port is taken to carry.
type protocol struct {
	mode proxy.Mode
	h2c  bool // the Pods speak HTTP/2 without TLS
}

var (
	tcp   = protocol{mode: proxy.TCP}
	udp   = protocol{mode: proxy.UDP}
	http1 = protocol{mode: proxy.HTTP}
	http2 = protocol{mode: proxy.HTTP, h2c: true}

	byAppProtocol = map[string]protocol{
		"http":              http1,
		"http2":             http2,
		"h2c":               http2,
		"grpc":              http2,
		"kubernetes.io/h2c": http2,
		"kubernetes.io/ws":  http1,
	}
	byName = map[string]protocol{
		"http":  http1,
		"http2": http2,
		"h2c":   http2,
		"grpc":  http2,
		"tcp":   tcp,
		"tls":   tcp,
		"https": tcp,
	}
)

// servedPort is one port of a Service, as it is forwarded.
type servedPort struct {
	switchboard.Port
	spec corev1.ServicePort
}

// ports are what is forwarded of a Service, wherever that is.
func (s *service) ports(backends []backend, around surroundings) []servedPort {
	if s.object.Spec.Type == corev1.ServiceTypeExternalName || s.object.Spec.ClusterIP == corev1.ClusterIPNone {
		return nil
	}
	templates := around.templates(s.selector)
	protocols := map[string]protocol{}
	var ports []servedPort
	for _, spec := range s.object.Spec.Ports {
		name := PortName(spec)
		protocol := protocolOf(spec, s.protocols[name], templates)
		protocols[name] = protocol
		p := switchboard.Port{Name: name, Mode: protocol.mode, H2C: protocol.h2c, Sticks: affinity(s.object)}
		for _, b := range backends {
			if number, ok := b.port(spec); ok {
				p.Members = append(p.Members, b.member(number))
			}
		}
		ports = append(ports, servedPort{Port: p, spec: spec})
	}
	s.protocols = protocols
	return ports
}

// affinity is for how long a client stays with its Pod.
func affinity(svc *corev1.Service) time.Duration {
	if svc.Spec.SessionAffinity != corev1.ServiceAffinityClientIP {
		return 0
	}
	seconds := corev1.DefaultClientIPServiceAffinitySeconds
	if c := svc.Spec.SessionAffinityConfig; c != nil && c.ClientIP != nil {
		seconds = ptr.Deref(c.ClientIP.TimeoutSeconds, seconds)
	}
	return time.Duration(seconds) * time.Second
}

// PortName tells a Service's ports apart.
func PortName(p corev1.ServicePort) string {
	return strconv.Itoa(int(p.Port)) + "/" + string(protocolName(p.Protocol))
}

func protocolName(p corev1.Protocol) corev1.Protocol { return cmp.Or(p, corev1.ProtocolTCP) }

// at writes an address of a port as the proxy wants it.
func at(address string, p corev1.Protocol) string {
	if p == corev1.ProtocolUDP {
		return address + proxy.UDPSuffix
	}
	return address
}

// hostNumbers are the ports at which a Service's port is reached on the host.
func hostNumbers(svc *corev1.Service, p corev1.ServicePort) []int32 {
	var numbers []int32
	balanced := svc.Spec.Type == corev1.ServiceTypeLoadBalancer
	if p.NodePort > 0 && (balanced || svc.Spec.Type == corev1.ServiceTypeNodePort) {
		numbers = append(numbers, p.NodePort)
	}
	if balanced && p.Port != p.NodePort {
		numbers = append(numbers, p.Port)
	}
	return numbers
}

// hostAddresses are where a port is reached on the host.
func (d *Director) hostAddresses(s *service, p corev1.ServicePort) []string {
	numbers := hostNumbers(s.object, p)
	if instead, moved := s.instead[PortName(p)]; moved && s.object.Spec.Type == corev1.ServiceTypeLoadBalancer {
		numbers = append(numbers, instead)
	}
	var addresses []string
	for _, number := range numbers {
		addresses = append(addresses, d.atHost(number, p.Protocol)...)
	}
	return addresses
}

// atHost are a port's addresses on the host.
func (d *Director) atHost(number int32, p corev1.Protocol) []string {
	var addresses []string
	for _, loopback := range d.Loopbacks {
		addresses = append(addresses, at(net.JoinHostPort(loopback, strconv.Itoa(int(number))), p))
	}
	return addresses
}

// clusterAddresses are where Pods reach a port.
func clusterAddresses(s *service, p corev1.ServicePort) []string {
	ip := s.object.Spec.ClusterIP
	if ip == "" {
		return nil
	}
	return []string{at(net.JoinHostPort(ip, strconv.Itoa(int(p.Port))), p.Protocol)}
}

// protocolOf says what a port carries: by what the Service says, else by what
// the port's name says, else by a probe of the Pods that it leads to. Where
// nothing says anything, it stays at what was known before, so that the last
// Pod's end does not turn HTTP into TCP.
func protocolOf(p corev1.ServicePort, before protocol, pods []*corev1.PodSpec) protocol {
	if p.Protocol == corev1.ProtocolUDP {
		return udp
	}
	if p.AppProtocol != nil {
		return byAppProtocol[strings.ToLower(*p.AppProtocol)]
	}
	prefix, _, _ := strings.Cut(p.Name, "-")
	if known, ok := byName[prefix]; ok {
		return known
	}
	for _, pod := range pods {
		if number, ok := resource.TargetPort(p, pod); ok && probedByHTTP(pod, number) {
			return http1
		}
	}
	return before
}

func probedByHTTP(pod *corev1.PodSpec, number int32) bool {
	for _, c := range resource.Lasting(pod) {
		for _, probe := range []*corev1.Probe{c.ReadinessProbe, c.LivenessProbe, c.StartupProbe} {
			if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Scheme == corev1.URISchemeHTTPS {
				continue
			}
			probed := probe.HTTPGet.Port.IntVal
			if probe.HTTPGet.Port.Type == intstr.String {
				probed, _ = resource.NamedPort(&c, probe.HTTPGet.Port.StrVal, corev1.ProtocolTCP)
			}
			if probed == number {
				return true
			}
		}
	}
	return false
}
