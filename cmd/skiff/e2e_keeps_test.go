package main_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"skiff/orchestrator/skifftest"
)

// TestUpgradeKeeps what processes know of those who talk: which back end a client
// comes back to, by which address a back end of UDP knows its client, and how
// much there was, what is in flight meanwhile included.
func TestUpgradeKeeps(t *testing.T) {
	t.Parallel()
	i := start(t)
	i.deployWeb(t)
	sticky := onHost(i.serve(t, corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "sticky"},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": "web"}, SessionAffinity: corev1.ServiceAffinityClientIP,
			Ports: []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(8080)}},
		},
	}))
	i.answers(t, sticky)
	far := i.mirrors(t, 3)

	var conversations []func() string
	var known []string
	for range 8 {
		say := converse(t, far)
		conversations, known = append(conversations, say), append(known, say())
	}
	base, asked := i.requestsTo(t, "sticky"), 0
	ask := func(client int) string {
		asked++
		return askFrom(t, fmt.Sprintf("127.0.0.%d", client), sticky)
	}
	pods := map[int]string{}
	for client := 2; client < 10; client++ {
		pods[client] = ask(client)
	}
	check := func() {
		t.Helper()
		for n, say := range conversations {
			if now := say(); now != known[n] {
				t.Errorf("conversation %d was %s and is %s", n, known[n], now)
			}
		}
		for client, pod := range pods {
			if now := ask(client); now != pod {
				t.Errorf("client %d came to %s and comes to %s", client, pod, now)
			}
		}
	}
	check()
	l := &asking{t: t, web: sticky}
	request := l.begin()
	one, _ := i.upgrade(t)
	check()
	if n := i.requestsTo(t, "sticky"); n != base+float64(asked) {
		t.Errorf("%v requests are counted of %v", n, base+float64(asked))
	}
	request()
	asked += l.asked
	eventually(t, func() error { // it is counted just after the client has its answer
		if n := i.requestsTo(t, "sticky"); n != base+float64(asked) {
			return fmt.Errorf("with the one in flight %v requests are counted of %v", n, base+float64(asked))
		}
		return nil
	})
	waitEnded(t, one)
	if n := i.requestsTo(t, "sticky"); n != base+float64(asked) {
		t.Errorf("once the process has ended %v requests are counted of %v", n, base+float64(asked))
	}
	i.upgrade(t)
	check()
	if n := i.requestsTo(t, "sticky"); n != base+float64(asked) {
		t.Errorf("after the second upgrade %v requests are counted of %v", n, base+float64(asked))
	}
}

// askFrom asks as a client with an address of its own, and gives the Pod that
// answers.
func askFrom(t *testing.T, client, address string) (pod string) {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(client)}}).DialContext}
	res, err := (&http.Client{Transport: transport, Timeout: patience}).Get("http://" + address)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(res.Body)
	if _, wrong := fmt.Sscanf(string(text), "version %s on %s", new(string), &pod); errors.Join(err, res.Body.Close(), wrong) != nil {
		t.Fatalf("%q, %v", text, err)
	}
	return pod
}

// mirrors gives the address of a Service with some back ends that tell each
// client who they are, and by which address they know it.
func (i *instance) mirrors(t *testing.T, n int) (address string) {
	t.Helper()
	address = onHost(i.serve(t, corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "far"},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "udp", Port: 7000, Protocol: corev1.ProtocolUDP}}},
	}))
	name, udp, yes := "udp", corev1.ProtocolUDP, true
	for b := range n {
		at := mirror(t, fmt.Sprint("mirror ", b))
		port := int32(at.Port)
		_, err := i.api(t).Client.DiscoveryV1().EndpointSlices(skifftest.Namespace).Create(t.Context(), &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Name: fmt.Sprint("far-", b), Labels: map[string]string{discoveryv1.LabelServiceName: "far"}},
			AddressType: discoveryv1.AddressTypeIPv4,
			Ports:       []discoveryv1.EndpointPort{{Name: &name, Port: &port, Protocol: &udp}},
			Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{at.IP.String()}, Conditions: discoveryv1.EndpointConditions{Ready: &yes}}},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	return address
}

// mirror listens at an address of this machine that others can reach.
func mirror(t *testing.T, name string) *net.UDPAddr {
	t.Helper()
	route, err := net.Dial("udp", "192.0.2.1:9") // sends nothing
	if err != nil {
		t.Fatal(err)
	}
	defer route.Close()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: route.LocalAddr().(*net.UDPAddr).IP})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		var buffer [64]byte
		for {
			_, from, err := conn.ReadFromUDPAddrPort(buffer[:])
			if err != nil {
				return
			}
			conn.WriteToUDPAddrPort(fmt.Appendf(nil, "%s knows %s", name, from), from)
		}
	}()
	return conn.LocalAddr().(*net.UDPAddr)
}

// converse is a client that hears something whenever it says something.
func converse(t *testing.T, address string) (say func() string) {
	t.Helper()
	conn, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return func() (heard string) {
		t.Helper()
		eventually(t, func() error { // the Service may have no back end yet, and datagrams get lost
			if err := conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
				return err
			}
			_, err := conn.Write([]byte("hello"))
			var buffer [64]byte
			n, failed := conn.Read(buffer[:])
			heard = string(buffer[:n])
			return errors.Join(err, failed)
		})
		return heard
	}
}
