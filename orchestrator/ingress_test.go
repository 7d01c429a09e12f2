package orchestrator_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"skiff/examples/load"
	"skiff/orchestrator"
	"skiff/orchestrator/skifftest"
)

// TestIngress runs examples/ingress, and then updates rude servers twice while
// clients use them through an Ingress. None of them may see an error.
func TestIngress(t *testing.T) {
	t.Parallel()
	images(t)
	i := skifftest.New(t, func(o *orchestrator.Options) { o.Ingress = &orchestrator.IngressPorts{} })
	if warnings := i.Apply(t, "../examples/ingress/ingress.yaml"); len(warnings) > 0 {
		t.Errorf("warnings %q", warnings)
	}
	i.WaitRollout(t, "store")
	i.WaitRollout(t, "basket")
	plain, secure := ingressDoors(t, i, "store")
	authority, err := orchestrator.PathsIn(i.Options.DataDir).Authority()
	if err != nil {
		t.Fatal(err)
	}
	trust := x509.NewCertPool()
	trust.AppendCertsFromPEM(authority)
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: trust},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			to := plain
			if strings.HasSuffix(address, ":443") {
				to = secure
			}
			return (&net.Dialer{}).DialContext(ctx, network, to)
		},
	}}
	t.Cleanup(client.CloseIdleConnections)
	for url, want := range map[string]string{
		"http://store.test/": "version store on store-", "http://store.test/basket": "version basket on basket-",
		"https://store.test/": "version store on store-", "http://basket.localhost/": "version basket on basket-",
		"http://elsewhere.test/": "404 not found: no Ingress and no Service has host",
	} {
		res, err := client.Get(url)
		if err != nil {
			t.Errorf("ask %s: %v", url, err)
			continue
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if !strings.HasPrefix(string(body), want) {
			t.Errorf("ask %s: %s %q, want %q", url, res.Proto, body, want)
		}
	}

	i.Deploy(t, web(2, drain("1")))
	service := nodePort("web", "http")
	service.Spec.Type = corev1.ServiceTypeClusterIP
	service.Spec.Ports[0].TargetPort = intstr.FromString("http")
	if _, err := i.Client.CoreV1().Services(skifftest.Namespace).Create(t.Context(), service, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	all := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Name: "all"}, Spec: networkingv1.IngressSpec{
		DefaultBackend: &networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "web", Port: networkingv1.ServiceBackendPort{Number: 80}}},
	}}
	if _, err := i.Client.NetworkingV1().Ingresses(skifftest.Namespace).Create(t.Context(), all, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	ingressDoors(t, i, "all")
	waitAnswer(t, plain)
	ctx, cancel := context.WithCancel(t.Context())
	c := &clients{cancel: cancel, versions: map[string]int{}, changed: make(chan struct{}), loads: map[string]*load.Result{}}
	t.Cleanup(func() { cancel(); c.wg.Wait() })
	c.load(ctx, "requests", load.Options{Address: plain, Rate: 100, Fresh: 0.5, Conns: 16})
	c.load(ctx, "bodies", load.Options{Address: plain, Path: "/echo", Body: strings.Repeat("0123456789abcdef", 4096), Rate: 10, Fresh: 0.3, Conns: 4})
	for v := 2; v <= 3; v++ {
		i.Update(t, "web", version(v))
		i.WaitRollout(t, "web")
		c.waitVersion(t, fmt.Sprint(v))
	}
	c.stop(t)
}

// ingressDoors waits until the status of an Ingress says where it is served.
func ingressDoors(t *testing.T, i *skifftest.Instance, name string) (http, https string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); <-tick.C {
		in, err := i.Client.NetworkingV1().Ingresses(skifftest.Namespace).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if at := in.Status.LoadBalancer.Ingress; len(at) == 1 && len(at[0].Ports) == 1+len(in.Spec.TLS) {
			last := at[0].Ports[len(at[0].Ports)-1].Port
			return fmt.Sprintf("%s:%d", at[0].IP, at[0].Ports[0].Port), fmt.Sprintf("%s:%d", at[0].IP, last)
		}
	}
	t.Fatalf("ingress %s has no address after a minute", name)
	return "", ""
}
