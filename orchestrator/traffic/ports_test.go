package traffic

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func httpGet(port intstr.IntOrString, scheme corev1.URIScheme) *corev1.Probe {
	return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Port: port, Scheme: scheme}}}
}

func TestProtocolOf(t *testing.T) {
	t.Parallel()
	probed := &corev1.PodSpec{Containers: []corev1.Container{{
		Ports:          []corev1.ContainerPort{{Name: "www", ContainerPort: 8080}},
		ReadinessProbe: httpGet(intstr.FromString("www"), corev1.URISchemeHTTP),
	}}}
	tls := &corev1.PodSpec{Containers: []corev1.Container{{LivenessProbe: httpGet(intstr.FromInt32(8080), corev1.URISchemeHTTPS)}}}
	app := func(s string) *string { return &s }
	to8080 := intstr.FromInt32(8080)
	tests := []struct {
		name   string
		port   corev1.ServicePort
		before protocol
		pods   []*corev1.PodSpec
		want   protocol
	}{
		{"nothing known", corev1.ServicePort{}, tcp, nil, tcp},
		{"nothing known any more", corev1.ServicePort{}, http1, nil, http1},
		{"appProtocol http", corev1.ServicePort{AppProtocol: app("HTTP")}, tcp, nil, http1},
		{"appProtocol ws", corev1.ServicePort{AppProtocol: app("kubernetes.io/ws")}, tcp, nil, http1},
		{"appProtocol wss", corev1.ServicePort{AppProtocol: app("kubernetes.io/wss")}, tcp, nil, tcp},
		{"appProtocol h2c", corev1.ServicePort{AppProtocol: app("kubernetes.io/h2c")}, tcp, nil, http2},
		{"appProtocol grpc", corev1.ServicePort{AppProtocol: app("grpc")}, tcp, nil, http2},
		{"appProtocol https", corev1.ServicePort{AppProtocol: app("https")}, tcp, nil, tcp},
		{"appProtocol goes before the name", corev1.ServicePort{AppProtocol: app("tcp"), Name: "http"}, http1, []*corev1.PodSpec{probed}, tcp},
		{"name", corev1.ServicePort{Name: "http"}, tcp, nil, http1},
		{"name with more", corev1.ServicePort{Name: "http-admin"}, tcp, nil, http1},
		{"name that only begins so", corev1.ServicePort{Name: "httpd"}, tcp, nil, tcp},
		{"name grpc", corev1.ServicePort{Name: "grpc-api"}, tcp, nil, http2},
		{"name goes before the probe", corev1.ServicePort{Name: "tcp-www", TargetPort: to8080}, tcp, []*corev1.PodSpec{probed}, tcp},
		{"probe on the same port", corev1.ServicePort{Name: "web", TargetPort: to8080}, tcp, []*corev1.PodSpec{tls, probed}, http1},
		{"probe, port by name", corev1.ServicePort{Port: 80, TargetPort: intstr.FromString("www")}, tcp, []*corev1.PodSpec{probed}, http1},
		{"probe on another port", corev1.ServicePort{Port: 80}, tcp, []*corev1.PodSpec{probed}, tcp},
		{"probe over TLS", corev1.ServicePort{Port: 8080}, tcp, []*corev1.PodSpec{tls}, tcp},
	}
	for _, test := range tests {
		if got := protocolOf(test.port, test.before, test.pods); got != test.want {
			t.Errorf("%s: got %+v, want %+v", test.name, got, test.want)
		}
	}
}

func TestMembers(t *testing.T) {
	t.Parallel()
	pod := newPod("a")
	pod.Status.PodIP = "10.0.0.7"
	pod.Spec.Containers = []corev1.Container{
		{Ports: []corev1.ContainerPort{{Name: "dns", ContainerPort: 53, Protocol: corev1.ProtocolUDP}}},
		{Ports: []corev1.ContainerPort{{Name: "www", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}}},
	}
	always := corev1.ContainerRestartPolicyAlways
	pod.Spec.InitContainers = []corev1.Container{
		{Ports: []corev1.ContainerPort{{Name: "done", ContainerPort: 1, Protocol: corev1.ProtocolTCP}}},
		{Ports: []corev1.ContainerPort{{Name: "mesh", ContainerPort: 9090, Protocol: corev1.ProtocolTCP}}, RestartPolicy: &always},
	}
	tests := []struct {
		name   string
		target intstr.IntOrString
		want   string
	}{
		{"unset: the Service's own", intstr.IntOrString{}, "10.0.0.7:80"},
		{"number", intstr.FromInt32(9000), "10.0.0.7:9000"},
		{"name", intstr.FromString("www"), "10.0.0.7:8080"},
		{"name of a sidecar's", intstr.FromString("mesh"), "10.0.0.7:9090"},
		{"name of an init container's, which has ended", intstr.FromString("done"), ""},
		{"name of a UDP port", intstr.FromString("dns"), ""},
		{"name that the Pod does not have", intstr.FromString("ftp"), ""},
	}
	for _, test := range tests {
		b := podBackend(&corev1.Service{}, pod)
		number, ok := b.port(corev1.ServicePort{Port: 80, TargetPort: test.target})
		if got := b.member(number).Address; ok != (test.want != "") || ok && got != test.want {
			t.Errorf("%s: got %s, %t, want %s", test.name, got, ok, test.want)
		}
	}
	if number, ok := podBackend(&corev1.Service{}, pod).port(corev1.ServicePort{
		Port: 53, TargetPort: intstr.FromString("dns"), Protocol: corev1.ProtocolUDP,
	}); number != 53 || !ok {
		t.Errorf("a UDP port by name: %d, %t", number, ok)
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	p := corev1.ServicePort{Port: 80, NodePort: 30080}
	d := &Director{Options: Options{Loopbacks: []string{"127.0.0.1", "::1"}}}
	u := corev1.ServicePort{Port: 53, NodePort: 30053, Protocol: corev1.ProtocolUDP}
	tests := []struct {
		kind corev1.ServiceType
		port corev1.ServicePort
		want []string
	}{
		{corev1.ServiceTypeClusterIP, p, nil},
		{corev1.ServiceTypeNodePort, p, []string{"127.0.0.1:30080", "[::1]:30080"}},
		{corev1.ServiceTypeNodePort, u, []string{"127.0.0.1:30053/udp", "[::1]:30053/udp"}},
		{corev1.ServiceTypeLoadBalancer, p, []string{"127.0.0.1:30080", "[::1]:30080", "127.0.0.1:80", "[::1]:80"}},
	}
	for _, test := range tests {
		svc := &service{object: &corev1.Service{Spec: corev1.ServiceSpec{Type: test.kind, ClusterIP: "10.0.0.9"}}}
		if got := d.hostAddresses(svc, test.port); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v, want %v", test.kind, got, test.want)
		}
		if got := clusterAddresses(svc, p); !slices.Equal(got, []string{"10.0.0.9:80"}) {
			t.Errorf("%s, inside: got %v", test.kind, got)
		}
	}
}

func TestPorts(t *testing.T) {
	t.Parallel()
	ports := func(spec corev1.ServiceSpec) (names []string) {
		spec.Ports = []corev1.ServicePort{{Port: 53}, {Port: 53, Protocol: corev1.ProtocolUDP}, {Port: 81, Protocol: corev1.ProtocolTCP}}
		s := &service{object: &corev1.Service{Spec: spec}, selector: labels.SelectorFromSet(web)}
		for _, p := range s.ports(nil, surroundings{}) {
			names = append(names, p.Name)
		}
		return names
	}
	if got := ports(corev1.ServiceSpec{ClusterIP: "10.0.0.9"}); !slices.Equal(got, []string{"53/TCP", "53/UDP", "81/TCP"}) {
		t.Errorf("got %v", got)
	}
	if got := ports(corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName}); got != nil {
		t.Errorf("an external name: %v", got)
	}
	if got := ports(corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone}); got != nil {
		t.Errorf("headless: %v", got)
	}
}
