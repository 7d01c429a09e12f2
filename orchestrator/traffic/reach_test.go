package traffic

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"skiff/orchestrator/porttest"
	"skiff/orchestrator/resource"
	"skiff/proxy"
	"skiff/proxy/switchboard"
)

func says(t *testing.T, host string, port int, want string) bool {
	t.Helper()
	res, err := client(t).Get(fmt.Sprintf("http://%s/", net.JoinHostPort(host, fmt.Sprint(port))))
	if err != nil {
		return false
	}
	defer res.Body.Close()
	text := make([]byte, len(want))
	n, _ := res.Body.Read(text)
	return string(text[:n]) == want
}

func refuses(host string, port int) bool {
	_, err := net.Dial("tcp", net.JoinHostPort(host, fmt.Sprint(port)))
	return errors.Is(err, syscall.ECONNREFUSED)
}

// localhost is ::1 for some programs and 127.0.0.1 for others: a port is at both
// or at none, and what holds one of them is named.
func TestBothLoopbacks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if len(w.Loopbacks) < 2 {
		t.Skip("this machine has no ::1")
	}
	target, port := porttest.Free(t), porttest.Free(t)
	taken, err := net.Listen("tcp", fmt.Sprintf("[::1]:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	w.add(w.app("web-a", "v1", target))
	w.apply(newService(port, intstr.FromInt(target)))
	want := fmt.Sprintf("Warning PortInUse [::1]:%d is in use by another program", port)
	if got := <-w.events.Events; !strings.HasPrefix(got, want) {
		t.Errorf("event %q, want %q", got, want)
	}
	if !refuses("127.0.0.1", port) {
		t.Error("the port is open at 127.0.0.1 while somebody else has it at ::1")
	}
	taken.Close()
	for _, host := range w.Loopbacks {
		eventually(t, "the Service answers at "+host, func() bool { return says(t, host, port, "v1") })
	}
	if got := <-w.events.Events; !strings.HasPrefix(got, fmt.Sprintf("Normal Listening [::1]:%d is free now", port)) {
		t.Errorf("event %q", got)
	}
	if err := w.client.CoreV1().Services("default").Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, host := range w.Loopbacks {
		eventually(t, "the port is closed at "+host, func() bool { return refuses(host, port) })
	}
}

// keeper is a system that keeps one port from this user, until it is allowed.
type keeper struct {
	*proxy.Proxy
	port    int
	allowed atomic.Bool
}

func (k *keeper) Listen(ctx context.Context, what proxy.Listener) error {
	if strings.HasSuffix(what.Address, fmt.Sprintf(":%d", k.port)) && !k.allowed.Load() {
		return &net.OpError{Op: "listen", Net: "tcp", Err: os.NewSyscallError("bind", syscall.EACCES)}
	}
	return k.Proxy.Listen(ctx, what)
}

// A port that the user may not have is reached at another, until it is allowed.
func TestPortNotAllowed(t *testing.T) {
	t.Parallel()
	target, nodePort := porttest.Free(t), porttest.Free(t)
	var own int
	var other net.Listener // so that the second stand-in has to do
	for other == nil {
		own = 10000 + porttest.Free(t)%1000 // so that it has stand-ins
		other, _ = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", own+8000))
	}
	defer other.Close()
	k := &keeper{port: own}
	w := newWorldOver(t, func(p *proxy.Proxy) switchboard.Proxy { k.Proxy = p; return k }, Options{Log: slog.New(slog.DiscardHandler)})
	first := own + 8000
	w.add(w.app("web-a", "v1", target))
	svc := newService(nodePort, intstr.FromInt(target))
	svc.Spec.Type, svc.Spec.Ports[0].Port = corev1.ServiceTypeLoadBalancer, int32(own)
	w.apply(svc)
	event := <-w.events.Events
	for _, part := range []string{"Warning PortNotAllowed", fmt.Sprintf("port %d leads here instead", first+1000), "ip_unprivileged_port_start", "setcap"} {
		if !strings.Contains(event, part) {
			t.Errorf("event %q does not say %q", event, part)
		}
	}
	eventually(t, "the stand-in answers", func() bool { return says(t, "127.0.0.1", first+1000, "v1") })
	now := func() *corev1.Service {
		got, err := w.client.CoreV1().Services("default").Get(t.Context(), "web", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	eventually(t, "the Service says where it is reached", func() bool {
		s := now()
		urls := fmt.Sprintf("http://localhost:%d http://localhost:%d", first+1000, nodePort)
		return s.Annotations[resource.URLsAnnotation] == urls && len(s.Status.LoadBalancer.Ingress) == 1
	})
	k.allowed.Store(true)
	eventually(t, "its own port answers once it is allowed", func() bool { return says(t, "127.0.0.1", own, "v1") })
	eventually(t, "the stand-in is given up", func() bool {
		urls := fmt.Sprintf("http://localhost:%d http://localhost:%d", own, nodePort)
		return now().Annotations[resource.URLsAnnotation] == urls && refuses("127.0.0.1", first+1000)
	})
}

// What a Service is called at the doors that it shares comes after its own
// ports; until that is known, what an earlier run has written stays.
func TestNamed(t *testing.T) {
	t.Parallel()
	target, nodePort := porttest.Free(t), porttest.Free(t)
	svc := newService(nodePort, intstr.FromInt(target))
	svc.Annotations = map[string]string{resource.URLsAnnotation: "http://localhost:1 http://web.localhost"}
	nameless := newService(porttest.Free(t), intstr.FromInt(target))
	nameless.Name = "nameless"
	w := newWorldOf(t, Options{Log: slog.New(slog.DiscardHandler), Names: true}, svc, nameless)
	urlsOf := func(name string) string {
		got, err := w.client.CoreV1().Services("default").Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return got.Annotations[resource.URLsAnnotation]
	}
	urls := func() string { return urlsOf("web") }
	eventually(t, "the Service is served", func() bool { return !refuses("127.0.0.1", nodePort) })
	own := fmt.Sprintf("http://localhost:%d", nodePort)
	for _, step := range []struct {
		named map[string]string
		want  string
	}{
		{nil, "http://localhost:1 http://web.localhost"},
		{map[string]string{"default/web": "http://web.localhost:8080", "default/gone": "http://gone.localhost"}, own + " http://web.localhost:8080"},
		{map[string]string{"default/web": "http://web.localhost:9080"}, own + " http://web.localhost:9080"},
		{map[string]string{}, own},
	} {
		if step.named != nil {
			w.Named(step.named)
		}
		eventually(t, "URLs "+step.want, func() bool { return urls() == step.want })
	}
	eventually(t, "the URL of one that never had a name", func() bool {
		return urlsOf("nameless") == fmt.Sprintf("http://localhost:%d", nameless.Spec.Ports[0].NodePort)
	})
	svc.Spec.Type, svc.Spec.Ports[0].NodePort = corev1.ServiceTypeClusterIP, 0
	w.apply(svc)
	eventually(t, "no URL", func() bool { return urls() == "" })
	w.Named(map[string]string{"default/web": "http://web.localhost"})
	eventually(t, "its name alone", func() bool { return urls() == "http://web.localhost" })
}

func TestStandIns(t *testing.T) {
	t.Parallel()
	svc := &service{object: &corev1.Service{Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}, {Port: 8080}}}}}
	if got := standIns(80, svc.listensAt); !slices.Equal(got[:2], []int32{9080, 10080}) {
		t.Errorf("with 8080 in use by the Service itself: %v", got)
	}
	if got := standIns(443, svc.listensAt); got[0] != 8443 || got[len(got)-1] >= 30000 {
		t.Errorf("for 443: %v", got)
	}
}

func TestScheme(t *testing.T) {
	t.Parallel()
	https := "https"
	for _, test := range []struct {
		port    corev1.ServicePort
		carries protocol
		want    string
	}{
		{corev1.ServicePort{Name: "web"}, http1, "http"},
		{corev1.ServicePort{Name: "grpc"}, http2, "http"},
		{corev1.ServicePort{Name: "https-web"}, tcp, "https"},
		{corev1.ServicePort{Name: "web", AppProtocol: &https}, tcp, "https"},
		{corev1.ServicePort{Name: "dns"}, udp, "udp"},
		{corev1.ServicePort{Name: "db"}, tcp, "tcp"},
	} {
		if got := scheme(test.port, test.carries); got != test.want {
			t.Errorf("%s: got %s, want %s", test.port.Name, got, test.want)
		}
	}
}

func TestURL(t *testing.T) {
	t.Parallel()
	for want, of := range map[string]struct {
		scheme string
		number int32
	}{
		"http://a":      {"http", 80},
		"http://a:443":  {"http", 443},
		"https://a":     {"https", 443},
		"https://a:80":  {"https", 80},
		"tcp://a:80":    {"tcp", 80},
		"http://a:8080": {"http", 8080},
	} {
		if got := URL(of.scheme, "a", of.number); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
