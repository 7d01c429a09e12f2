package traffic

import (
	"net"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"skiff/proxy"
	"skiff/proxy/pool"
)

// protocol is what a Service's port is taken to carry.
type protocol struct {
	mode proxy.Mode
	h2c  bool // the Pods speak HTTP/2 without TLS
}

var (
	tcp   = protocol{mode: proxy.TCP}
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

// servedPorts are the ports of a Service that the proxy serves, by number.
func servedPorts(svc *corev1.Service) map[int32]corev1.ServicePort {
	if svc == nil || svc.Spec.Type == corev1.ServiceTypeExternalName || len(svc.Spec.Selector) == 0 {
		return nil
	}
	ports := map[int32]corev1.ServicePort{}
	for _, p := range svc.Spec.Ports {
		if p.Protocol == corev1.ProtocolTCP || p.Protocol == "" {
			ports[p.Port] = p
		}
	}
	return ports
}

// addresses are where a port is reached from the host.
func addresses(svc *corev1.Service, p corev1.ServicePort) []string {
	var addresses []string
	at := func(number int32) {
		addresses = append(addresses, net.JoinHostPort(hostAddress, strconv.Itoa(int(number))))
	}
	balanced := svc.Spec.Type == corev1.ServiceTypeLoadBalancer
	if p.NodePort > 0 && (balanced || svc.Spec.Type == corev1.ServiceTypeNodePort) {
		at(p.NodePort)
	}
	if balanced && p.Port != p.NodePort {
		at(p.Port)
	}
	return addresses
}

// protocolOf says what a port carries: by what the Service says, else by what
// the port's name says, else by a probe of the Pods that it leads to. Where
// nothing says anything, it stays at what was known before, so that the last
// Pod's end does not turn HTTP into TCP.
func protocolOf(p corev1.ServicePort, before protocol, pods []*corev1.PodSpec) protocol {
	if p.AppProtocol != nil {
		return byAppProtocol[strings.ToLower(*p.AppProtocol)]
	}
	prefix, _, _ := strings.Cut(p.Name, "-")
	if known, ok := byName[prefix]; ok {
		return known
	}
	for _, pod := range pods {
		if number, ok := targetPort(p, pod); ok && probedByHTTP(pod, number) {
			return http1
		}
	}
	return before
}

// memberFor is the back end that a Pod is to a Service's port.
func memberFor(p corev1.ServicePort, pod *corev1.Pod) (pool.Member, bool) {
	number, ok := targetPort(p, &pod.Spec)
	if !ok {
		return pool.Member{}, false
	}
	address := net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(int(number)))
	return pool.Member{ID: string(pod.UID), Address: address}, true
}

// targetPort is the number of the Pod's port that p leads to.
func targetPort(p corev1.ServicePort, pod *corev1.PodSpec) (int32, bool) {
	if p.TargetPort.Type == intstr.String {
		for i := range pod.Containers {
			if number, ok := namedPort(&pod.Containers[i], p.TargetPort.StrVal); ok {
				return number, true
			}
		}
		return 0, false
	}
	if p.TargetPort.IntVal == 0 {
		return p.Port, true
	}
	return p.TargetPort.IntVal, true
}

func namedPort(c *corev1.Container, name string) (int32, bool) {
	for _, p := range c.Ports {
		if p.Name == name && (p.Protocol == corev1.ProtocolTCP || p.Protocol == "") {
			return p.ContainerPort, true
		}
	}
	return 0, false
}

func probedByHTTP(pod *corev1.PodSpec, number int32) bool {
	for i := range pod.Containers {
		c := &pod.Containers[i]
		for _, probe := range []*corev1.Probe{c.ReadinessProbe, c.LivenessProbe, c.StartupProbe} {
			if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Scheme == corev1.URISchemeHTTPS {
				continue
			}
			probed := probe.HTTPGet.Port.IntVal
			if probe.HTTPGet.Port.Type == intstr.String {
				probed, _ = namedPort(c, probe.HTTPGet.Port.StrVal)
			}
			if probed == number {
				return true
			}
		}
	}
	return false
}
