package resource

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"skiff/orchestrator/service/allocation"
)

var testServices = service(allocation.Ranges{ClusterIPs: netip.MustParsePrefix("10.96.0.0/16")})

func aService(edit ...func(*corev1.Service)) *corev1.Service {
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", ResourceVersion: "1"},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": "web"},
			Ports:    []corev1.ServicePort{{Port: 80}},
		},
	}
	for _, e := range edit {
		e(svc)
	}
	return svc
}

// created runs svc through what the API does with a new object.
func created(t *testing.T, svc *corev1.Service, stored ...runtime.Object) *corev1.Service {
	t.Helper()
	testServices.Default(svc)
	testServices.PrepareCreate(svc)
	if errs := testServices.Validate(svc); len(errs) > 0 {
		t.Fatal(errs)
	}
	if errs := testServices.Allocate(svc, nil, stored); len(errs) > 0 {
		t.Fatal(errs)
	}
	return svc
}

// updated does the same for a replacement of old; it returns what is wrong.
func updated(svc, old *corev1.Service) string {
	testServices.Default(svc)
	testServices.PrepareUpdate(svc, old)
	errs := append(testServices.Validate(svc), testServices.ValidateUpdate(svc, old)...)
	if len(errs) == 0 {
		errs = testServices.Allocate(svc, old, []runtime.Object{old})
	}
	if len(errs) == 0 {
		return ""
	}
	return errs.ToAggregate().Error()
}

func TestServiceDefaults(t *testing.T) {
	t.Parallel()
	svc := created(t, aService(func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeLoadBalancer }))
	port := svc.Spec.Ports[0]
	if port.NodePort == 0 || svc.Spec.ClusterIP == "" {
		t.Errorf("node port %d, clusterIP %q", port.NodePort, svc.Spec.ClusterIP)
	}
	want := corev1.ServiceSpec{
		Selector:                      map[string]string{"app": "web"},
		Ports:                         []corev1.ServicePort{{Port: 80, Protocol: "TCP", TargetPort: intstr.FromInt32(80), NodePort: port.NodePort}},
		Type:                          "LoadBalancer",
		ClusterIP:                     svc.Spec.ClusterIP,
		ClusterIPs:                    []string{svc.Spec.ClusterIP},
		SessionAffinity:               "None",
		IPFamilies:                    []corev1.IPFamily{"IPv4"},
		IPFamilyPolicy:                ptr.To(corev1.IPFamilyPolicySingleStack),
		InternalTrafficPolicy:         ptr.To(corev1.ServiceInternalTrafficPolicyCluster),
		ExternalTrafficPolicy:         "Cluster",
		AllocateLoadBalancerNodePorts: ptr.To(true),
	}
	if diff := cmp.Diff(want, svc.Spec); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
}

func TestServiceValidation(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		edit func(*corev1.Service)
		want string
	}{
		{"no ports", func(s *corev1.Service) { s.Spec.Ports = nil }, "spec.ports: Required value"},
		{"port too high", func(s *corev1.Service) { s.Spec.Ports[0].Port = 70000 }, "spec.ports[0].port: Invalid value: 70000: must be between 1 and 65535, inclusive"},
		{"two ports, no names", func(s *corev1.Service) {
			s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Port: 81, Name: "b"})
		}, "spec.ports[0].name: Required value"},
		{"two ports, one name", func(s *corev1.Service) {
			s.Spec.Ports = []corev1.ServicePort{{Port: 80, Name: "a"}, {Port: 81, Name: "a"}}
		}, `spec.ports[1].name: Duplicate value: "a"`},
		{"same port twice", func(s *corev1.Service) {
			s.Spec.Ports = []corev1.ServicePort{{Port: 80, Name: "a"}, {Port: 80, Name: "b"}}
		}, "spec.ports[1]: Duplicate value"},
		{"bad name of a target port", func(s *corev1.Service) { s.Spec.Ports[0].TargetPort = intstr.FromString("not_ok") },
			`spec.ports[0].targetPort: Invalid value: "not_ok": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)`},
		{"unknown type", func(s *corev1.Service) { s.Spec.Type = "Nope" },
			`spec.type: Unsupported value: "Nope": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"`},
		{"unknown protocol", func(s *corev1.Service) { s.Spec.Ports[0].Protocol = "HTTP" },
			`spec.ports[0].protocol: Unsupported value: "HTTP": supported values: "SCTP", "TCP", "UDP"`},
		{"node port of a cluster IP", func(s *corev1.Service) { s.Spec.Ports[0].NodePort = 30000 },
			"spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"},
		{"headless node port", func(s *corev1.Service) { s.Spec.Type, s.Spec.ClusterIP = "NodePort", "None" },
			`spec.clusterIPs[0]: Invalid value: "None": may not be set to 'None' for NodePort services`},
		{"bad cluster IP", func(s *corev1.Service) { s.Spec.ClusterIP = "10.0.0.300" }, `spec.clusterIPs[0]: Invalid value: "10.0.0.300": must be a valid IP address`},
		{"IPv6", func(s *corev1.Service) { s.Spec.IPFamilies = []corev1.IPFamily{"IPv6"} },
			`spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster`},
		{"dual stack", func(s *corev1.Service) { s.Spec.IPFamilyPolicy = ptr.To(corev1.IPFamilyPolicyRequireDualStack) },
			`spec.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services`},
		{"traffic policy of a cluster IP", func(s *corev1.Service) { s.Spec.ExternalTrafficPolicy = "Local" },
			`spec.externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services`},
		{"load balancer's field", func(s *corev1.Service) { s.Spec.AllocateLoadBalancerNodePorts = ptr.To(true) },
			"spec.allocateLoadBalancerNodePorts: Forbidden: may only be used when `type` is 'LoadBalancer'"},
		{"long affinity", func(s *corev1.Service) {
			s.Spec.SessionAffinity = "ClientIP"
			s.Spec.SessionAffinityConfig = &corev1.SessionAffinityConfig{ClientIP: &corev1.ClientIPConfig{TimeoutSeconds: ptr.To(int32(100000))}}
		}, "spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 100000: must be greater than 0 and less than 86400"},
		{"bad name", func(s *corev1.Service) { s.Name = "web.app" }, `metadata.name: Invalid value: "web.app"`},

		{"external IPs", func(s *corev1.Service) { s.Spec.ExternalIPs = []string{"192.0.2.1"} },
			"spec.externalIPs: Forbidden: skiff does not support external IPs"},
		{"SCTP", func(s *corev1.Service) { s.Spec.Ports[0].Protocol = "SCTP" },
			"spec.ports[0].protocol: Forbidden: skiff does not support ports of protocol SCTP"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			svc := aService(tt.edit)
			testServices.Default(svc)
			testServices.PrepareCreate(svc)
			errs := testServices.Validate(svc)
			if len(errs) == 0 || !strings.Contains(errs.ToAggregate().Error(), tt.want) {
				t.Errorf("errors are %v, want %s", errs, tt.want)
			}
		})
	}
}

func TestServiceUpdates(t *testing.T) {
	t.Parallel()
	old := created(t, aService(func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeNodePort }))

	t.Run("replaced by its manifest", func(t *testing.T) {
		t.Parallel()
		svc := aService(func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeNodePort })
		if wrong := updated(svc, old); wrong != "" {
			t.Fatal(wrong)
		}
		if diff := cmp.Diff(old.Spec, svc.Spec); diff != "" {
			t.Errorf("spec changed (-old +new):\n%s", diff)
		}
	})
	t.Run("from NodePort to ClusterIP", func(t *testing.T) {
		t.Parallel()
		svc := old.DeepCopy()
		svc.Spec.Type = corev1.ServiceTypeClusterIP
		if wrong := updated(svc, old); wrong != "" {
			t.Fatal(wrong)
		}
		if svc.Spec.Ports[0].NodePort != 0 || svc.Spec.ExternalTrafficPolicy != "" || svc.Spec.ClusterIP != old.Spec.ClusterIP {
			t.Errorf("spec is %+v", svc.Spec)
		}
	})
	t.Run("from LoadBalancer to NodePort", func(t *testing.T) {
		t.Parallel()
		lb := created(t, aService(func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeLoadBalancer }))
		lb.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "127.0.0.1"}}
		svc := lb.DeepCopy()
		svc.Spec.Type = corev1.ServiceTypeNodePort
		if wrong := updated(svc, lb); wrong != "" {
			t.Fatal(wrong)
		}
		if svc.Spec.Ports[0].NodePort != lb.Spec.Ports[0].NodePort || len(svc.Status.LoadBalancer.Ingress) > 0 {
			t.Errorf("port %d, status %+v", svc.Spec.Ports[0].NodePort, svc.Status)
		}
	})
	t.Run("from NodePort to ExternalName and back", func(t *testing.T) {
		t.Parallel()
		svc := old.DeepCopy()
		svc.Spec.Type, svc.Spec.ExternalName = corev1.ServiceTypeExternalName, "db.example.com"
		if wrong := updated(svc, old); wrong != "" {
			t.Fatal(wrong)
		}
		if s := svc.Spec; s.ClusterIP != "" || len(s.ClusterIPs) > 0 || len(s.IPFamilies) > 0 || s.IPFamilyPolicy != nil || s.Ports[0].NodePort != 0 {
			t.Errorf("spec is %+v", s)
		}
		back := aService(func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeNodePort })
		if wrong := updated(back, svc); wrong != "" {
			t.Fatal(wrong)
		}
		if s := back.Spec; s.ClusterIP == "" || s.ClusterIPs[0] != s.ClusterIP || len(s.IPFamilies) != 1 || s.Ports[0].NodePort == 0 {
			t.Errorf("spec is %+v", s)
		}
		asks := old.DeepCopy()
		asks.Spec.Type, asks.Spec.ExternalName = corev1.ServiceTypeExternalName, "db.example.com"
		asks.Spec.ClusterIP, asks.Spec.ClusterIPs = "10.96.9.9", []string{"10.96.9.9"}
		if wrong := updated(asks, old); !strings.Contains(wrong, "spec.clusterIPs: Forbidden: may not be set for ExternalName services") {
			t.Errorf("with another cluster IP: %q", wrong)
		}
	})
	t.Run("cluster IP cannot change", func(t *testing.T) {
		t.Parallel()
		svc := old.DeepCopy()
		svc.Spec.ClusterIP = "10.96.9.9"
		if wrong := updated(svc, old); !strings.Contains(wrong, `spec.clusterIPs[0]: Invalid value: ["10.96.9.9"]: may not change once set`) {
			t.Error(wrong)
		}
	})
}

func TestServiceWarnings(t *testing.T) {
	t.Parallel()
	plain := aService()
	if w := testServices.Warnings(plain, nil); len(w) > 0 {
		t.Errorf("a plain Service warns: %q", w)
	}
	svc := aService(func(s *corev1.Service) {
		s.Spec.Type, s.Spec.LoadBalancerIP, s.Spec.Selector = "LoadBalancer", "192.0.2.7", nil
	})
	if w := testServices.Warnings(svc, nil); len(w) != 1 {
		t.Errorf("warnings are %q", w)
	}
	svc = aService(func(s *corev1.Service) {
		s.Spec = corev1.ServiceSpec{Type: "ExternalName", ExternalName: "db.example.com"}
	})
	if w := testServices.Warnings(svc, nil); len(w) > 0 {
		t.Errorf("a Service that is another name warns: %q", w)
	}
	svc.Spec.Type = "ClusterIP"
	if w := testServices.Warnings(svc, nil); len(w) != 1 || !strings.Contains(w[0], "spec.externalName is ignored") {
		t.Errorf("warnings are %q", w)
	}
}

func TestServiceRow(t *testing.T) {
	t.Parallel()
	svc := aService(func(s *corev1.Service) {
		s.Spec.Type, s.Spec.ClusterIP = "LoadBalancer", "10.96.0.9"
		s.Spec.Ports = []corev1.ServicePort{{Port: 80, NodePort: 30001, Protocol: "TCP"}, {Port: 443, Protocol: "TCP"}}
	})
	want := []any{"web", "LoadBalancer", "10.96.0.9", "<pending>", "80:30001/TCP,443/TCP", "<unknown>", "app=web"}
	if diff := cmp.Diff(want, testServices.Row(svc)); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
	svc.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "127.0.0.1"}}
	if got := testServices.Row(svc)[3]; got != "127.0.0.1" {
		t.Errorf("external IP is %v", got)
	}
	if len(testServices.Columns) != len(want) {
		t.Errorf("%d columns, %d cells", len(testServices.Columns), len(want))
	}
}
