package orchestrator_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"skiff/orchestrator/skifftest"
	"skiff/runtime/container"
)

// resolverOf asks the instance's DNS, which the host reaches as Pods do.
func resolverOf(t *testing.T, i *skifftest.Instance) *net.Resolver {
	t.Helper()
	svc, err := i.Client.CoreV1().Services("default").Get(t.Context(), "kubernetes", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ip, err := netip.ParseAddr(svc.Spec.ClusterIP)
	if err != nil {
		t.Fatal(err)
	}
	ranges, err := container.Split(netip.PrefixFrom(ip, 20)) // what an instance's network is
	if err != nil {
		t.Fatal(err)
	}
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, net.JoinHostPort(ranges.Gateway.String(), "53"))
	}}
}

// Services of every kind are found by their names and lead where they say.
func TestNames(t *testing.T) {
	t.Parallel()
	images(t)
	i := skifftest.New(t)
	r := resolverOf(t, i)
	services := i.Client.CoreV1().Services("default")
	create := func(name string, spec corev1.ServiceSpec) *corev1.Service {
		t.Helper()
		svc, err := services.Create(t.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return svc
	}
	lookup := func(name string, want ...string) {
		t.Helper()
		slices.Sort(want)
		eventually(t, fmt.Sprintf("%s is %v", name, want), func() bool {
			got, err := r.LookupHost(t.Context(), name)
			slices.Sort(got)
			return err == nil && slices.Equal(got, want)
		})
	}
	labels := map[string]string{"app": "web"}
	port := corev1.ServicePort{Name: "http", Port: 80, TargetPort: intstr.FromInt32(8080)}
	web0 := web(2)
	web0.Spec.Template.Spec.Hostname, web0.Spec.Template.Spec.Subdomain = "named", "pods"
	i.Deploy(t, web0)

	plain := create("web", corev1.ServiceSpec{Selector: labels, Ports: []corev1.ServicePort{port}})
	lookup("web.default.svc.cluster.local.", plain.Spec.ClusterIP)
	if _, srv, err := r.LookupSRV(t.Context(), "http", "tcp", "web.default.svc.cluster.local."); err != nil || srv[0].Port != 80 {
		t.Errorf("SRV of web: %v, %v", srv, err)
	}
	if names, err := r.LookupAddr(t.Context(), plain.Spec.ClusterIP); err != nil || names[0] != "web.default.svc.cluster.local." {
		t.Errorf("PTR of web: %v, %v", names, err)
	}
	api, err := services.Get(t.Context(), "kubernetes", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	lookup("kubernetes.default.svc.cluster.local.", api.Spec.ClusterIP)

	create("pods", corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, Selector: labels, Ports: []corev1.ServicePort{port}})
	var ips []string
	for _, pod := range i.WaitPods(t, "app=web", func(pods []corev1.Pod) bool { return len(pods) == 2 }) {
		ips = append(ips, pod.Status.PodIP)
	}
	lookup("pods.default.svc.cluster.local.", ips...)
	lookup("named.pods.default.svc.cluster.local.", ips...)
	if _, srv, err := r.LookupSRV(t.Context(), "http", "tcp", "pods.default.svc.cluster.local."); err != nil || srv[0].Port != 8080 {
		t.Errorf("SRV of pods: %v, %v", srv, err)
	}

	create("alias", corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "web.default.svc.cluster.local"})
	lookup("alias.default.svc.cluster.local.", plain.Spec.ClusterIP)

	byHand := create("by-hand", corev1.ServiceSpec{Ports: []corev1.ServicePort{port}})
	_, err = i.Client.DiscoveryV1().EndpointSlices("default").Create(t.Context(), &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: "by-hand-1", Labels: map[string]string{discoveryv1.LabelServiceName: "by-hand"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: ips[:1]}},
		Ports:       []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: ptr.To[int32](8080)}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	waitAnswer(t, net.JoinHostPort(byHand.Spec.ClusterIP, "80"))

	// What is no longer there has no name, and a Pod that left no record.
	if err := services.Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a Service that is gone has no name", func() bool {
		_, err := r.LookupHost(t.Context(), "web.default.svc.cluster.local.")
		missing, ok := err.(*net.DNSError)
		return ok && missing.IsNotFound
	})
	i.Update(t, "web", func(d *appsv1.Deployment) { d.Spec.Replicas = ptr.To[int32](0) })
	eventually(t, "no Pod is named any more", func() bool {
		_, err := r.LookupHost(t.Context(), "pods.default.svc.cluster.local.")
		return err != nil
	})
}
