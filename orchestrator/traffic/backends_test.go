package traffic

//lint:file-ignore SA1019 Endpoints are served because clients still write them.

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"skiff/orchestrator/porttest"
)

type logged struct {
	sync.Mutex
	bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.Lock()
	defer l.Unlock()
	return l.Buffer.Write(p)
}

func (l *logged) text() string {
	l.Lock()
	defer l.Unlock()
	return l.Buffer.String()
}

// An endpoint that is a ClusterIP, or the gateway, would lead back to where the
// request came from.
func TestEndpointsThatLoop(t *testing.T) {
	t.Parallel()
	for _, older := range []bool{false, true} {
		t.Run(fmt.Sprint("older ", older), func(t *testing.T) {
			t.Parallel()
			testLoops(t, older)
		})
	}
}

func testLoops(t *testing.T, older bool) {
	addresses := []string{"10.1.2.3", "10.0.64.9", "10.0.63.254", "127.0.0.9"}
	meta := metav1.ObjectMeta{Name: "web", Namespace: "default", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}}
	svc := newService(porttest.Free(t), intstr.IntOrString{})
	svc.Spec.Selector = nil
	var log logged
	w := newWorldOf(t, Options{
		Log: slog.New(slog.NewTextHandler(&log, nil)),
		Own: []netip.Prefix{netip.MustParsePrefix("10.0.64.0/18"), netip.MustParsePrefix("10.0.63.254/32")},
	}, svc)
	var err error
	if older {
		e := &corev1.Endpoints{ObjectMeta: meta, Subsets: []corev1.EndpointSubset{{Ports: []corev1.EndpointPort{{Name: "http", Port: 80, Protocol: corev1.ProtocolTCP}}}}}
		for _, a := range addresses {
			e.Subsets[0].Addresses = append(e.Subsets[0].Addresses, corev1.EndpointAddress{IP: a})
		}
		_, err = w.client.CoreV1().Endpoints("default").Create(t.Context(), e, metav1.CreateOptions{})
	} else {
		_, err = w.client.DiscoveryV1().EndpointSlices("default").Create(t.Context(), &discoveryv1.EndpointSlice{
			ObjectMeta: meta, AddressType: discoveryv1.AddressTypeIPv4,
			Endpoints: []discoveryv1.Endpoint{{Addresses: addresses}},
			Ports:     []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: ptr.To(int32(80))}},
		}, metav1.CreateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	eventually(t, "the Service has back ends", func() bool {
		got = w.addresses("web", "80/TCP")
		return len(got) > 0
	})
	if want := []string{"10.1.2.3:80", "127.0.0.9:80"}; !slices.Equal(got, want) {
		t.Errorf("back ends %v, want %v", got, want)
	}
	if n := strings.Count(log.text(), "10.0.63.254 10.0.64.9"); n != 1 {
		t.Errorf("said %d times what was left out: %s", n, log.text())
	}
}

// Two programs of one machine, which nobody but their ports tells apart, are two
// back ends.
func TestEndpointsOfOneAddress(t *testing.T) {
	t.Parallel()
	svc := newService(porttest.Free(t), intstr.IntOrString{})
	svc.Spec.Selector = nil
	w := newWorld(t, svc)
	want := []string{"10.1.2.3:80", "10.1.2.3:81"}
	for i := range want {
		slice := &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Name: fmt.Sprint("web-", i), Namespace: "default", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
			AddressType: discoveryv1.AddressTypeIPv4,
			Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"10.1.2.3"}}},
			Ports:       []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: ptr.To(int32(80 + i))}},
		}
		if _, err := w.client.DiscoveryV1().EndpointSlices("default").Create(t.Context(), slice, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "both are back ends", func() bool { return slices.Equal(w.addresses("web", "80/TCP"), want) })
}

// Pods that are not ready are there for who asks for them, and in the DNS also
// those that leave, as Kubernetes has it.
func TestNotReadyAddresses(t *testing.T) {
	t.Parallel()
	var pods []*corev1.Pod
	for _, name := range []string{"starting", "leaving", "finished", "without-address"} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)}}
		pod.Status.PodIP = "10.1.2.3"
		pods = append(pods, pod)
	}
	now := metav1.Now()
	pods[1].DeletionTimestamp, pods[2].DeletionTimestamp = &now, &now
	pods[2].Status.Phase = corev1.PodFailed
	pods[3].Status.PodIP = ""
	for clusterIP, want := range map[string][]string{"10.96.0.7": {"starting"}, corev1.ClusterIPNone: {"leaving", "starting"}} {
		for _, publish := range []bool{true, false} {
			svc := newService(0, intstr.IntOrString{})
			svc.Spec.ClusterIP, svc.Spec.PublishNotReadyAddresses = clusterIP, publish
			var got []string
			for _, b := range (&Director{}).backends(&service{namespace: "default", object: svc, selector: labels.Everything()}, surroundings{pods: pods}) {
				got = append(got, b.id)
			}
			if publish && !slices.Equal(got, want) || !publish && len(got) > 0 {
				t.Errorf("cluster IP %s, publishing %t: %v", clusterIP, publish, got)
			}
		}
	}
}

// addresses are those of the back ends of a port, in order.
func (w *world) addresses(service, port string) []string {
	var got []string
	if p := w.pool(service, port); p != nil {
		for _, b := range p.Snapshot().Backends {
			got = append(got, b.Address)
		}
	}
	slices.Sort(got)
	return got
}
