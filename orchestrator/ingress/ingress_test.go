package ingress

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/proxy"
	"skiff/proxy/switchboard"
)

const shop = `
metadata: {name: shop, uid: shop, creationTimestamp: "2026-01-01T00:00:00Z"}
spec:
  rules:
  - host: shop.test
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}
      - {path: /cart, pathType: Prefix, backend: {service: {name: cart, port: {name: http}}}}
      - {path: /old, pathType: Exact, backend: {service: {name: gone, port: {number: 80}}}}
      - {path: /dns, pathType: Exact, backend: {service: {name: dns, port: {number: 53}}}}
      - {path: /port, pathType: Exact, backend: {service: {name: web, port: {number: 81}}}}
  - host: "*.shop.test"
    http: {paths: [{path: /cart, pathType: ImplementationSpecific, backend: {service: {name: cart, port: {number: 80}}}}]}`

// Requests go where the rules say; what leads nowhere is answered with the
// reason.
func TestRules(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Ports{})
	if port := w.port(HTTPPortAnnotation); port != "" {
		t.Errorf("a door is open at %s before there is anything to serve", port)
	}
	w.service("default", "web", proxy.HTTP)
	w.service("default", "cart", proxy.TCP) // nothing says that it is HTTP but the Ingress
	w.service("default", "dns", -1, corev1.ServicePort{Port: 53, Protocol: corev1.ProtocolUDP})
	w.service("other", "api", proxy.HTTP)
	w.says("web.localhost", "/x?y=/../z", "200 default/web /x?y=/../z")
	w.says("web.default.localhost:1234", "/", "200 default/web /")
	w.says("api.other.localhost", "/", "200 other/api /")
	w.says("api.localhost", "/", `404 404 not found: no Ingress and no Service has host "api.localhost": the hosts are api.other.localhost, web.default.localhost, web.localhost`)
	if got := w.ask("cart.localhost", "/"); !strings.HasPrefix(got, "404 ") {
		t.Errorf("a Service of which nothing says that it is HTTP: %s", got)
	}

	w.named(map[string]string{"default/web": "web.localhost", "other/api": "api.other.localhost"})

	w.ingress(shop)
	w.says("shop.test", "/", "200 default/web /")
	w.says("shop.test", "/cart/1", "200 default/cart /cart/1")
	w.says("eu.shop.test", "/cart", "200 default/cart /cart")
	w.says("eu.shop.test", "/", `404 404 not found: no Ingress has path "/" at host "eu.shop.test": the hosts are *.shop.test, api.other.localhost, shop.test, web.default.localhost, web.localhost`)
	w.says("shop.test", "/old", "503 503 service unavailable: Service default/gone does not exist")
	w.says("shop.test", "/dns", "503 503 service unavailable: Service default/dns has port 53 for UDP only")
	w.says("shop.test", "/port", "503 503 service unavailable: Service default/web has no port 81")
	w.says("shop.test", "/x/%2e%2e/cart", "400 400 bad request: the path can be read in several ways that lead to different places")

	// A second one: what the first has stays, what no rule matches is its.
	w.ingress(`
metadata: {name: second, uid: second, creationTimestamp: "2026-01-02T00:00:00Z"}
spec:
  defaultBackend: {service: {name: api, port: {number: 80}}}
  rules:
  - host: shop.test
    http: {paths: [{path: /cart, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}
  - host: web.localhost
    http: {paths: [{path: /mine, pathType: Prefix, backend: {service: {name: cart, port: {number: 80}}}}]}`)
	w.says("elsewhere.test", "/", "503 503 service unavailable: Service default/api does not exist")
	w.says("eu.shop.test", "/", "503 503 service unavailable: Service default/api does not exist")
	w.says("web.localhost", "/mine", "200 default/cart /mine")
	w.says("web.localhost", "/", "503 503 service unavailable: Service default/api does not exist")
	w.says("shop.test", "/cart", "200 default/cart /cart")
	w.named(map[string]string{"default/web": "web.default.localhost", "other/api": "api.other.localhost"}) // the Ingress has the other
	w.told("RuleConflict", `the rule for host "shop.test" and path "/cart" has no effect: ingress default/shop has it already`)

	in := w.get("shop")
	if at := in.Status.LoadBalancer.Ingress; len(at) != 1 || at[0].IP != "127.0.0.1" || len(at[0].Ports) != 1 || fmt.Sprint(at[0].Ports[0].Port) != w.port(HTTPPortAnnotation) {
		t.Errorf("status %+v", at)
	}

	// One of another class is nobody's.
	w.ingress(`
metadata: {name: foreign, uid: foreign}
spec: {ingressClassName: nginx, tls: [{}], rules: [{host: foreign.test, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]}`)
	for _, name := range []string{"shop", "second"} {
		if err := w.client.NetworkingV1().Ingresses("default").Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	w.says("foreign.test", "/", `404 404 not found: Ingress default/foreign is not served by skiff: there is no IngressClass "nginx"`)
	if w.port(HTTPSPortAnnotation) != "" || len(w.get("foreign").Status.LoadBalancer.Ingress) > 0 {
		t.Error("an Ingress of another class is served")
	}

	// When nothing is left to serve, the door closes.
	port := w.port(HTTPPortAnnotation)
	for _, key := range [][2]string{{"default", "web"}, {"default", "cart"}, {"default", "dns"}, {"other", "api"}} {
		w.board.Set(t.Context(), switchboard.Service{Name: key[0] + "/" + key[1]})
		if err := w.client.CoreV1().Services(key[0]).Delete(t.Context(), key[1], metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	w.eventually("the door closes", func() (string, bool) {
		_, err := net.Dial("tcp", "127.0.0.1:"+port)
		return fmt.Sprint(err), err != nil && w.port(HTTPPortAnnotation) == ""
	})
	w.named(nil)
}

// Who asks a host without TLS that wants it is sent to where that is spoken.
func TestRedirect(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Ports{})
	w.service("default", "web", proxy.HTTP)
	w.ingress(`
metadata: {name: safe, uid: safe, annotations: {nginx.ingress.kubernetes.io/ssl-redirect: "true"}}
spec:
  defaultBackend: {service: {name: web, port: {number: 80}}}
  rules:
  - {host: safe.test, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}
  - {host: a.wild.test}
  - {host: b.a.wild.test}
  - {host: plain.test}
  tls: [{hosts: [safe.test, "*.wild.test"]}]`)
	w.ingress(`
metadata: {name: both, uid: both, annotations: {nginx.ingress.kubernetes.io/ssl-redirect: "false"}}
spec:
  rules: [{host: both.test, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]
  tls: [{}]`)
	const wants = "308 308 permanent redirect: this host wants TLS: ask for https://"
	w.says("safe.test", "/x", wants)
	w.says("a.wild.test", "/", wants)
	for _, host := range []string{"b.a.wild.test", "plain.test", "both.test", "any.test", "web.localhost"} {
		w.says(host, "/", "200 default/web /")
	}
	var secure string
	w.eventually("the port of https is told", func() (string, bool) {
		secure = w.port(HTTPSPortAnnotation)
		return secure, secure != ""
	})
	res, err := (&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(&http.Request{
		Host: "safe.test", URL: &url.URL{Scheme: "http", Host: "127.0.0.1:" + w.port(HTTPPortAnnotation), Path: "/x", RawQuery: "y=z"},
	})
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if got, want := res.Header.Get("Location"), "https://safe.test:"+secure+"/x?y=z"; got != want {
		t.Errorf("sent to %q, want %q", got, want)
	}
	conn, err := tls.Dial("tcp", "127.0.0.1:"+secure, &tls.Config{InsecureSkipVerify: true, ServerName: "safe.test"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := exchange(conn, "safe.test", "/x"); got != "200 default/web /x" {
		t.Errorf("there: %s", got)
	}
}

func (w *world) told(reason, message string) {
	w.Helper()
	w.eventually("the Event "+reason+": "+message, func() (string, bool) {
		w.mu.Lock()
		defer w.mu.Unlock()
		n := 0
		for _, e := range w.events {
			if strings.Contains(e, reason) && strings.Contains(e, message) {
				n++
			}
		}
		return strings.Join(slices.Clone(w.events), "\n"), n == 1
	})
}
