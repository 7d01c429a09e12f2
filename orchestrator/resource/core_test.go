package resource

//lint:file-ignore SA1019 Endpoints are served because clients still read them.

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
)

func named(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "default", Name: name, ResourceVersion: "1"}
}

func TestCoreValidation(t *testing.T) {
	t.Parallel()
	big := bytes.Repeat([]byte("x"), corev1.MaxSecretSize+1)
	tests := []struct {
		name string
		kind *Definition
		obj  runtime.Object
		want string // empty: valid
	}{
		{"config map", configMap(), &corev1.ConfigMap{ObjectMeta: named("a"), Data: map[string]string{"k": "v"}}, ""},
		{"finalizers", configMap(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: "a", ResourceVersion: "1", Finalizers: []string{"example.com/mine", metav1.FinalizerDeleteDependents},
		}}, ""},
		{"a finalizer of nobody", configMap(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: "a", ResourceVersion: "1", Finalizers: []string{"example.com/mine", "mine"},
		}}, `metadata.finalizers[1]: Invalid value: "mine": name is neither a standard finalizer name nor is it fully qualified`},
		{"config map's key", configMap(), &corev1.ConfigMap{ObjectMeta: named("a"), Data: map[string]string{"a/b": ""}},
			`data[a/b]: Invalid value: "a/b": a valid config key must consist of alphanumeric characters`},
		{"config map, key twice", configMap(), &corev1.ConfigMap{
			ObjectMeta: named("a"), Data: map[string]string{"k": ""}, BinaryData: map[string][]byte{"k": nil},
		}, `data[k]: Invalid value: "k": duplicate of key present in binaryData`},
		{"config map too big", configMap(), &corev1.ConfigMap{ObjectMeta: named("a"), BinaryData: map[string][]byte{"k": big}},
			"Too long: may not be more than 1048576 bytes"},

		{"secret", secret(), &corev1.Secret{ObjectMeta: named("a"), StringData: map[string]string{"k": "v"}}, ""},
		{"secret too big", secret(), &corev1.Secret{ObjectMeta: named("a"), Data: map[string][]byte{"k": big}},
			"data: Too long: may not be more than 1048576 bytes"},
		{"TLS secret", secret(), &corev1.Secret{ObjectMeta: named("a"), Type: corev1.SecretTypeTLS, StringData: map[string]string{"tls.crt": ""}},
			"data[tls.key]: Required value"},
		{"basic auth", secret(), &corev1.Secret{ObjectMeta: named("a"), Type: corev1.SecretTypeBasicAuth}, "data[username]: Required value"},
		{"registry secret", secret(), &corev1.Secret{
			ObjectMeta: named("a"), Type: corev1.SecretTypeDockerConfigJson, StringData: map[string]string{".dockerconfigjson": "secret{"},
		}, `data[.dockerconfigjson]: Invalid value: "<secret contents redacted>"`},

		{"service account", serviceAccount(), &corev1.ServiceAccount{ObjectMeta: named("a")}, ""},
		{"service account's name", serviceAccount(), &corev1.ServiceAccount{ObjectMeta: named("A")}, `metadata.name: Invalid value: "A"`},

		{"namespace", namespace(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team"}}, ""},
		{"namespace's finalizer", namespace(), &corev1.Namespace{
			ObjectMeta: metav1.ObjectMeta{Name: "team"}, Spec: corev1.NamespaceSpec{Finalizers: []corev1.FinalizerName{"mine"}},
		}, `spec.finalizers: Invalid value: "mine": name is neither a standard finalizer name nor is it fully qualified`},

		{"node", node(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "skiff"}}, ""},
		{"node's capacity", node(), &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: "skiff"},
			Status:     corev1.NodeStatus{Capacity: corev1.ResourceList{"cpu": resource.MustParse("-1")}},
		}, `status.capacity.cpu: Invalid value: "-1": must be greater than or equal to 0`},
		{"node's taint", node(), &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: "skiff"}, Spec: corev1.NodeSpec{Taints: []corev1.Taint{{Key: "k", Effect: "Never"}}},
		}, `metadata.taints[0].effect: Unsupported value: "Never"`},

		{"endpoints", endpoints(), &corev1.Endpoints{ObjectMeta: named("a"), Subsets: []corev1.EndpointSubset{{
			Addresses: []corev1.EndpointAddress{{IP: "10.0.0.1"}}, Ports: []corev1.EndpointPort{{Port: 80}},
		}}}, ""},
		{"endpoints without addresses", endpoints(), &corev1.Endpoints{ObjectMeta: named("a"), Subsets: []corev1.EndpointSubset{{}}},
			"subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`"},
		{"endpoint on loopback", endpoints(), &corev1.Endpoints{ObjectMeta: named("a"), Subsets: []corev1.EndpointSubset{{
			Addresses: []corev1.EndpointAddress{{IP: "127.0.0.1"}},
		}}}, `subsets[0].addresses[0].ip: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)`},

		{"slice", endpointSlice(), &discoveryv1.EndpointSlice{
			ObjectMeta: named("a"), AddressType: "IPv4",
			Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}}}, Ports: []discoveryv1.EndpointPort{{Port: ptr.To(int32(80))}},
		}, ""},
		{"slice's address type", endpointSlice(), &discoveryv1.EndpointSlice{ObjectMeta: named("a")}, "addressType: Required value"},
		{"slice's address", endpointSlice(), &discoveryv1.EndpointSlice{
			ObjectMeta: named("a"), AddressType: "IPv4", Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"fd00::1"}}},
		}, `endpoints[0].addresses[0]: Invalid value: "fd00::1": must be an IPv4 address`},
		{"slice without address", endpointSlice(), &discoveryv1.EndpointSlice{
			ObjectMeta: named("a"), AddressType: "IPv4", Endpoints: []discoveryv1.Endpoint{{}},
		}, "endpoints[0].addresses: Required value: must contain at least 1 address"},
		{"slice too long", endpointSlice(), &discoveryv1.EndpointSlice{
			ObjectMeta: named("a"), AddressType: "IPv4", Endpoints: make([]discoveryv1.Endpoint, 1001),
		}, "endpoints: Too many: 1001: must have at most 1000 items"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.kind.Default != nil {
				tt.kind.Default(tt.obj)
			}
			errs := tt.kind.Validate(tt.obj)
			switch {
			case tt.want == "" && len(errs) > 0:
				t.Error(errs)
			case tt.want != "" && (len(errs) == 0 || !strings.Contains(errs.ToAggregate().Error(), tt.want)):
				t.Errorf("errors are %v, want %s", errs, tt.want)
			}
		})
	}
}

func TestImmutable(t *testing.T) {
	t.Parallel()
	cm := &corev1.ConfigMap{ObjectMeta: named("a"), Data: map[string]string{"k": "v"}, Immutable: ptr.To(true)}
	changed := cm.DeepCopy()
	changed.Data["k"], changed.Immutable = "w", nil
	want := "[immutable: Forbidden: field is immutable when `immutable` is set, data: Forbidden: field is immutable when `immutable` is set]"
	if got := configMap().ValidateUpdate(changed, cm).ToAggregate().Error(); got != want {
		t.Errorf("config map: %s", got)
	}

	s := &corev1.Secret{ObjectMeta: named("a"), Type: corev1.SecretTypeOpaque, Immutable: ptr.To(true), Data: map[string][]byte{"k": []byte("v")}}
	label := s.DeepCopy()
	label.Labels = map[string]string{"a": "b"}
	if errs := secret().ValidateUpdate(label, s); len(errs) > 0 {
		t.Errorf("a label on an immutable secret: %v", errs)
	}
	label.Type = corev1.SecretTypeTLS
	if errs := secret().ValidateUpdate(label, s); len(errs) != 1 || errs[0].Field != "type" {
		t.Errorf("another type: %v", errs)
	}
}

func TestSecretStringData(t *testing.T) {
	t.Parallel()
	s := &corev1.Secret{Data: map[string][]byte{"a": []byte("1"), "b": []byte("2")}, StringData: map[string]string{"b": "3"}}
	secret().Default(s)
	want := &corev1.Secret{Type: corev1.SecretTypeOpaque, Data: map[string][]byte{"a": []byte("1"), "b": []byte("3")}}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("secret (-want +got):\n%s", diff)
	}
}

func TestNamespaceLife(t *testing.T) {
	t.Parallel()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team", ResourceVersion: "1"}, Status: corev1.NamespaceStatus{Phase: "Odd"}}
	namespace().Default(ns)
	namespace().PrepareCreate(ns)
	if ns.Status.Phase != corev1.NamespaceActive || len(ns.Spec.Finalizers) != 1 || ns.Labels[corev1.LabelMetadataName] != "team" {
		t.Errorf("namespace is %+v", ns)
	}
	going := ns.DeepCopy()
	going.Status.Phase = corev1.NamespaceTerminating
	if errs := namespace().ValidateStatus(going, ns); len(errs) != 1 {
		t.Errorf("terminating without deletion: %v", errs)
	}
}

func TestCoreRows(t *testing.T) {
	t.Parallel()
	meta := metav1.ObjectMeta{Namespace: "default", Name: "a", CreationTimestamp: metav1.NewTime(time.Now().Add(-90 * time.Minute))}
	subset := corev1.EndpointSubset{Ports: []corev1.EndpointPort{{Port: 80}}}
	slice := &discoveryv1.EndpointSlice{ObjectMeta: meta, AddressType: "IPv4", Ports: []discoveryv1.EndpointPort{{Port: ptr.To(int32(80))}, {}}}
	for i := range 5 {
		ip := fmt.Sprint("10.0.0.", i+1)
		subset.Addresses = append(subset.Addresses, corev1.EndpointAddress{IP: ip})
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{ip}})
	}
	tests := []struct {
		name string
		kind *Definition
		obj  runtime.Object
		want []any
	}{
		{"config map", configMap(), &corev1.ConfigMap{ObjectMeta: meta, Data: map[string]string{"a": ""}, BinaryData: map[string][]byte{"b": nil}},
			[]any{"a", int64(2), "90m"}},
		{"secret", secret(), &corev1.Secret{ObjectMeta: meta, Type: "Opaque"}, []any{"a", "Opaque", int64(0), "90m"}},
		{"service account", serviceAccount(), &corev1.ServiceAccount{ObjectMeta: meta}, []any{"a", "90m"}},
		{"namespace", namespace(), &corev1.Namespace{ObjectMeta: meta, Status: corev1.NamespaceStatus{Phase: "Active"}}, []any{"a", "Active", "90m"}},
		{"endpoints", endpoints(), &corev1.Endpoints{ObjectMeta: meta, Subsets: []corev1.EndpointSubset{subset}},
			[]any{"a", "10.0.0.1:80,10.0.0.2:80,10.0.0.3:80 + 2 more...", "90m"}},
		{"no endpoints", endpoints(), &corev1.Endpoints{ObjectMeta: meta}, []any{"a", "<none>", "90m"}},
		{"slice", endpointSlice(), slice, []any{"a", "IPv4", "80,*", "10.0.0.1,10.0.0.2,10.0.0.3 + 2 more...", "90m"}},
		{"empty slice", endpointSlice(), &discoveryv1.EndpointSlice{ObjectMeta: meta, AddressType: "IPv4"}, []any{"a", "IPv4", "<unset>", "<unset>", "90m"}},
		{"node", node(), &corev1.Node{
			ObjectMeta: meta, Spec: corev1.NodeSpec{Unschedulable: true},
			Status: corev1.NodeStatus{
				Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
				Addresses:  []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.0.0.1"}},
				NodeInfo:   corev1.NodeSystemInfo{KubeletVersion: "v1.37.2"},
			},
		}, []any{"a", "Ready,SchedulingDisabled", "<none>", "90m", "v1.37.2", "10.0.0.1", "<none>", "<unknown>", "<unknown>", "<unknown>"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := tt.kind.Row(tt.obj)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("row (-want +got):\n%s", diff)
			}
			if len(got) != len(tt.kind.Columns) {
				t.Errorf("%d cells for %d columns", len(got), len(tt.kind.Columns))
			}
		})
	}
}
