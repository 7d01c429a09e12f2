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

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"skiff/examples/load"
	"skiff/examples/load/loadtest"
	"skiff/orchestrator"
	"skiff/orchestrator/skifftest"
)

// TestIngress runs examples/ingress, and then updates rude servers twice while
// clients use them through an Ingress, with TLS and without, and others ask more
// of the API than it can do. None of those clients may see an error.
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
	c := loadtest.New(t)
	c.Load("requests", load.Options{Address: plain, Rate: 100, Fresh: 0.5, Conns: 16})
	c.Load("bodies", load.Options{Address: plain, Path: "/echo", Body: strings.Repeat("0123456789abcdef", 4096), Rate: 10, Fresh: 0.3, Conns: 4})
	server := &tls.Config{RootCAs: trust, ServerName: "web.test"}
	c.Load("TLS", load.Options{Address: secure, TLS: server, Rate: 50, Fresh: 0.3, Conns: 8})
	c.Load("bodies over TLS", load.Options{Address: secure, TLS: server, Path: "/echo", Body: strings.Repeat("0123456789abcdef", 4096), Rate: 10, Conns: 4})
	// POSTs: one that broke off would not be tried again elsewhere.
	c.Load("slow requests over TLS", load.Options{Address: secure, TLS: server, Path: "/slow?d=1s", Body: "slow", Rate: 4, Conns: 8})
	c.Run("HTTP/2", func(ctx context.Context) error { return http2(ctx, c, secure, server) })
	whileOverloaded(t, c, i)
	for v := 2; v <= 3; v++ {
		i.Update(t, "web", version(v))
		i.WaitRollout(t, "web")
		c.WaitVersion(t, fmt.Sprint(v))
	}
	c.Stop(t)
}

// http2 sends requests, several at a time, on one connection for as long as that
// takes any. None of them is tried again.
func http2(ctx context.Context, c *loadtest.Clients, address string, config *tls.Config) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	transport := &http.Transport{TLSClientConfig: config.Clone(), Protocols: protocols}
	conn, err := transport.NewClientConn(ctx, "https", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	group, ctx := errgroup.WithContext(ctx)
	for n := range 4 {
		group.Go(func() error {
			tick := time.NewTicker(40 * time.Millisecond)
			defer tick.Stop()
			path := "/echo"
			if n == 0 {
				path = "/slow?d=1s"
			}
			for conn.Err() == nil {
				select {
				case <-tick.C:
				case <-ctx.Done():
					return nil
				}
				// Not the context that ends it: what is under way is to be answered.
				sent := strings.Repeat(fmt.Sprint("stream ", n, "."), 1000)
				req, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodPost, "https://"+config.ServerName+path, strings.NewReader(sent))
				if err != nil {
					return err
				}
				res, err := conn.RoundTrip(req)
				if err != nil {
					return err
				}
				got, err := io.ReadAll(res.Body)
				res.Body.Close()
				if err != nil || res.StatusCode != http.StatusOK || string(got) != sent {
					return fmt.Errorf("%s, %d of %d bytes, %v", res.Status, len(got), len(sent), err)
				}
				c.Answered(res.Header.Get("X-Version"))
			}
			return nil
		})
	}
	return group.Wait()
}

// ingressDoors waits until the status of an Ingress says where it is served.
func ingressDoors(t *testing.T, i *skifftest.Instance, name string) (http, https string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		in, err := i.Client.NetworkingV1().Ingresses(skifftest.Namespace).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if at := in.Status.LoadBalancer.Ingress; len(at) == 1 && len(at[0].Ports) == 1+len(in.Spec.TLS) {
			last := at[0].Ports[len(at[0].Ports)-1].Port
			return fmt.Sprintf("%s:%d", at[0].IP, at[0].Ports[0].Port), fmt.Sprintf("%s:%d", at[0].IP, last)
		}
	}
	t.Fatalf("ingress %s has no address after %s", name, patience)
	return "", ""
}
