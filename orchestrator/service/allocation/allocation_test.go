package allocation

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

var testRanges = Ranges{ClusterIPs: netip.MustParsePrefix("10.96.0.0/24")}

func svc(name string, kind corev1.ServiceType, edit ...func(*corev1.Service)) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: corev1.ServiceSpec{
			Type:  kind,
			Ports: []corev1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP}},
		},
	}
	for _, e := range edit {
		e(s)
	}
	return s
}

func ip(addr string) func(*corev1.Service) {
	return func(s *corev1.Service) { s.Spec.ClusterIP, s.Spec.ClusterIPs = addr, []string{addr} }
}

func nodePort(port int32) func(*corev1.Service) {
	return func(s *corev1.Service) { s.Spec.Ports[0].NodePort = port }
}

func TestAssignRefuses(t *testing.T) {
	t.Parallel()
	taken := svc("taken", corev1.ServiceTypeNodePort, ip("10.96.0.50"), nodePort(30080))
	tests := []struct {
		name string
		svc  *corev1.Service
		want string
	}{
		{"port of another Service", svc("a", corev1.ServiceTypeNodePort, nodePort(30080)),
			`spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated`},
		{"port out of range", svc("a", corev1.ServiceTypeNodePort, nodePort(80)),
			`spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767`},
		{"address of another Service", svc("a", corev1.ServiceTypeClusterIP, ip("10.96.0.50")),
			`spec.clusterIPs: Invalid value: ["10.96.0.50"]: failed to allocate IP 10.96.0.50: provided IP is already allocated`},
		{"address out of range", svc("a", corev1.ServiceTypeClusterIP, ip("10.97.0.1")),
			`spec.clusterIPs: Invalid value: ["10.97.0.1"]: failed to allocate IP 10.97.0.1: the provided IP (10.97.0.1) is not in the valid range. The range of valid IPs is 10.96.0.0/24`},
		{"network address", svc("a", corev1.ServiceTypeClusterIP, ip("10.96.0.0")), "not in the valid range"},
		{"broadcast address", svc("a", corev1.ServiceTypeClusterIP, ip("10.96.0.255")), "not in the valid range"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			errs := Assign(testRanges, tt.svc, nil, []*corev1.Service{taken})
			if len(errs) != 1 || !strings.Contains(errs[0].Error(), tt.want) {
				t.Errorf("errors are %v, want one with %q", errs, tt.want)
			}
		})
	}
}

func TestAssignChooses(t *testing.T) {
	t.Parallel()
	stored := []*corev1.Service{svc("kubernetes", corev1.ServiceTypeClusterIP, ip("10.96.0.1"))}
	for i := range 200 {
		s := svc(fmt.Sprintf("s%d", i), corev1.ServiceTypeLoadBalancer)
		if errs := Assign(testRanges, s, nil, stored); len(errs) > 0 {
			t.Fatalf("service %d: %v", i, errs)
		}
		for _, o := range stored {
			if o.Spec.ClusterIP == s.Spec.ClusterIP || o.Spec.Ports[0].NodePort == s.Spec.Ports[0].NodePort {
				t.Fatalf("%s and %s share %s or %d", o.Name, s.Name, s.Spec.ClusterIP, s.Spec.Ports[0].NodePort)
			}
		}
		addr := netip.MustParseAddr(s.Spec.ClusterIP)
		if !testRanges.ClusterIPs.Contains(addr) || s.Spec.ClusterIPs[0] != s.Spec.ClusterIP {
			t.Fatalf("clusterIP is %q, clusterIPs is %q", s.Spec.ClusterIP, s.Spec.ClusterIPs)
		}
		if i < 100 && addr.As4()[3] <= 16 {
			t.Errorf("%v was chosen from the band for static addresses while others were free", addr)
		}
		stored = append(stored, s)
	}
}

func TestAssignFullRange(t *testing.T) {
	t.Parallel()
	small := Ranges{ClusterIPs: netip.MustParsePrefix("10.0.0.0/27")}
	stored := []*corev1.Service{}
	var errs error
	for i := range 40 {
		s := svc(fmt.Sprint("s", i), corev1.ServiceTypeClusterIP)
		if errs = Assign(small, s, nil, stored).ToAggregate(); errs != nil {
			break
		}
		stored = append(stored, s)
	}
	if errs == nil || !strings.Contains(errs.Error(), "failed to allocate a serviceIP: range is full") {
		t.Errorf("after %d services: %v", len(stored), errs)
	}
	// 30 addresses less the first, which is default/kubernetes'.
	if len(stored) != 29 {
		t.Errorf("%d services got an address, want 29", len(stored))
	}
}

func TestAssignUpdates(t *testing.T) {
	t.Parallel()
	old := svc("a", corev1.ServiceTypeNodePort, ip("10.96.0.20"), nodePort(30001))

	t.Run("keeps what it has", func(t *testing.T) {
		t.Parallel()
		s := old.DeepCopy()
		if errs := Assign(testRanges, s, old, []*corev1.Service{old}); len(errs) > 0 {
			t.Fatal(errs)
		}
		if s.Spec.ClusterIP != "10.96.0.20" || s.Spec.Ports[0].NodePort != 30001 {
			t.Errorf("became %s and %d", s.Spec.ClusterIP, s.Spec.Ports[0].NodePort)
		}
	})
	t.Run("a port that was released can be taken", func(t *testing.T) {
		t.Parallel()
		released := svc("a", corev1.ServiceTypeClusterIP, ip("10.96.0.20"))
		s := svc("b", corev1.ServiceTypeNodePort, nodePort(30001))
		if errs := Assign(testRanges, s, nil, []*corev1.Service{released}); len(errs) > 0 {
			t.Fatal(errs)
		}
	})
	t.Run("no node port where none is wanted", func(t *testing.T) {
		t.Parallel()
		s := svc("b", corev1.ServiceTypeLoadBalancer, func(s *corev1.Service) {
			s.Spec.AllocateLoadBalancerNodePorts = ptr.To(false)
		})
		if errs := Assign(testRanges, s, nil, nil); len(errs) > 0 || s.Spec.Ports[0].NodePort != 0 {
			t.Errorf("got port %d, %v", s.Spec.Ports[0].NodePort, errs)
		}
	})
	t.Run("a chosen port is no other program's, a requested one may be", func(t *testing.T) {
		t.Parallel()
		ranges := testRanges
		ranges.Taken = func(port int32) bool { return port != 31234 }
		s := svc("b", corev1.ServiceTypeNodePort, nodePort(30002))
		s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Port: 81})
		if errs := Assign(ranges, s, nil, []*corev1.Service{old}); len(errs) > 0 || s.Spec.Ports[0].NodePort != 30002 || s.Spec.Ports[1].NodePort != 31234 {
			t.Errorf("the ports are %+v, %v", s.Spec.Ports, errs)
		}
		if errs := Assign(ranges, svc("c", corev1.ServiceTypeNodePort), nil, []*corev1.Service{s}); !strings.Contains(errs.ToAggregate().Error(), "failed to allocate a nodePort: range is full") {
			t.Errorf("with no port left: %v", errs)
		}
	})
	t.Run("a chosen port does not take a requested one", func(t *testing.T) {
		t.Parallel()
		s := svc("b", corev1.ServiceTypeNodePort, func(s *corev1.Service) {
			s.Spec.Ports = nil
			for p := int32(0); p < 200; p++ {
				s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Port: 1000 + p})
			}
			s.Spec.Ports[199].NodePort = 30500
		})
		if errs := Assign(testRanges, s, nil, nil); len(errs) > 0 {
			t.Fatal(errs)
		}
		seen := map[int32]bool{}
		for _, p := range s.Spec.Ports {
			if seen[p.NodePort] {
				t.Fatalf("node port %d twice", p.NodePort)
			}
			seen[p.NodePort] = true
		}
	})
	t.Run("health check port where traffic is local", func(t *testing.T) {
		t.Parallel()
		s := svc("b", corev1.ServiceTypeLoadBalancer, func(s *corev1.Service) {
			s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
		})
		if errs := Assign(testRanges, s, nil, nil); len(errs) > 0 || s.Spec.HealthCheckNodePort == 0 {
			t.Errorf("health check port is %d, %v", s.Spec.HealthCheckNodePort, errs)
		}
	})
	t.Run("headless", func(t *testing.T) {
		t.Parallel()
		s := svc("b", corev1.ServiceTypeClusterIP, ip(corev1.ClusterIPNone))
		if errs := Assign(testRanges, s, nil, nil); len(errs) > 0 || s.Spec.ClusterIP != "None" {
			t.Errorf("clusterIP is %q, %v", s.Spec.ClusterIP, errs)
		}
	})
}
