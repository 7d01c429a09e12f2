package ingress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

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
	w.says("foreign.test", "/", `404 404 not found: no Ingress and no Service has host "foreign.test": the hosts are api.other.localhost, web.default.localhost, web.localhost`)
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

// A port that is not free is told of, with the one that took its place; and a
// Service has its own port before the door does.
func TestPorts(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	w := newWorld(t, Ports{HTTP: port})
	w.service("default", "web", proxy.HTTP)
	w.ingress(shop)
	w.says("shop.test", "/", "200 default/web /")
	first := w.port(HTTPPortAnnotation)
	w.told("OtherPort", fmt.Sprintf("http is served on port %s instead of %d: it is in use by another program", first, port))
	if conn, err := net.Dial("tcp", net.JoinHostPort("::1", first)); err == nil {
		if got := exchange(conn, "shop.test", "/"); got != "200 default/web /" {
			t.Errorf("at [::1]: %s", got)
		}
		conn.Close()
	}

	failed := w.board.Set(t.Context(), switchboard.Service{Name: "default/greedy", Ports: []switchboard.Port{{
		Name: "80/TCP", Mode: proxy.TCP, Addresses: []string{"127.0.0.1:" + first},
	}}})
	if len(failed) > 0 {
		t.Errorf("a Service did not get its port: %v", failed)
	}
	w.eventually("the door moves", func() (string, bool) {
		now := w.port(HTTPPortAnnotation)
		return now, now != first && now != ""
	})
	w.says("shop.test", "/", "200 default/web /")
}

// keeper is a system that keeps one port from this user.
type keeper struct {
	*proxy.Proxy
	port int
}

func (k keeper) Listen(ctx context.Context, what proxy.Listener) error {
	if strings.HasSuffix(what.Address, fmt.Sprintf(":%d", k.port)) {
		return &net.OpError{Op: "listen", Net: "tcp", Err: os.NewSyscallError("bind", syscall.EACCES)}
	}
	return k.Proxy.Listen(ctx, what)
}

// Where the user may not have a port, the door is at one that is as easy to
// remember, and what allows the other is said.
func TestPortNotAllowed(t *testing.T) {
	t.Parallel()
	forbidden := 0
	for port := 1; port < privileged && forbidden == 0; port++ {
		if l, err := net.Listen("tcp", fmt.Sprintf(":%d", port+unbound)); err == nil {
			l.Close()
			forbidden = port
		}
	}
	w := newWorldOver(t, func(p *proxy.Proxy) switchboard.Proxy { return keeper{p, forbidden} }, Ports{HTTP: forbidden})
	w.service("default", "web", proxy.HTTP)
	w.says("web.localhost", "/", "200 default/web /")
	if got := w.port(HTTPPortAnnotation); got != fmt.Sprint(forbidden+unbound) {
		t.Errorf("instead of %d the door is at %s", forbidden, got)
	}
	w.ingress(shop)
	w.told("OtherPort", fmt.Sprintf(`http is served on port %d instead of %d: the system does not let this user listen there; "sudo sysctl`, forbidden+unbound, forbidden))
}

// A door that is open already stays where it is, be that not where it should be.
func TestOpenDoor(t *testing.T) {
	t.Parallel()
	d := door{wanted: 80, before: 8123}
	if got := d.candidates(); !slices.Equal(got, []int{8123, 80, 8080, 0}) {
		t.Errorf("candidates %v", got)
	}
	d = door{wanted: 8080}
	if got := d.candidates(); !slices.Equal(got, []int{8080, 0}) {
		t.Errorf("candidates of a door that is opened afresh: %v", got)
	}
}

// A certificate comes from the Secret for the name, else from the authority.
func TestCertificates(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Ports{})
	w.service("default", "web", proxy.HTTP)
	own, key := selfSigned(t, "*.shop.test")
	for name, data := range map[string]map[string][]byte{"wild": {"tls.crt": own, "tls.key": key}, "half": {"tls.crt": own}, "broken": {"tls.crt": own, "tls.key": own}} {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Type: corev1.SecretTypeOpaque, Data: data}
		if _, err := w.client.CoreV1().Secrets("default").Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	w.ingress(shop + `
  tls:
  - {hosts: ["*.shop.test"], secretName: wild}
  - {hosts: [half.test], secretName: half}
  - {hosts: [broken.test], secretName: broken}
  - {hosts: [none.test], secretName: none}
  - {hosts: [shop.test, bank.com]}`)
	w.eventually("HTTPS is served", func() (string, bool) { port := w.port(HTTPSPortAnnotation); return port, port != "" })
	authority, err := AuthorityPEM(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(w.dir, authorityFile+".pem")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the authority's key: %v, %v", info.Mode(), err)
	}
	if strings.Contains(string(authority), "PRIVATE") {
		t.Error("the certificate comes with its key")
	}
	trust := x509.NewCertPool()
	trust.AppendCertsFromPEM(authority)
	wild := x509.NewCertPool()
	wild.AppendCertsFromPEM(own)

	if _, err := w.shown("eu.shop.test", wild); err != nil {
		t.Errorf("the Secret's certificate: %v", err)
	}
	for _, name := range []string{"shop.test", "half.test", "a.b.shop.test", "web.localhost", "localhost"} {
		leaf, err := w.shown(name, trust)
		if err != nil {
			t.Errorf("the authority's certificate for %s: %v", name, err)
		} else if leaf.NotAfter.Sub(leaf.NotBefore) > 397*24*time.Hour {
			t.Errorf("it is good for %s, longer than browsers take", leaf.NotAfter.Sub(leaf.NotBefore))
		}
	}
	var unknown x509.CertificateInvalidError
	if _, err := w.shown("bank.com", trust); !errors.As(err, &unknown) || unknown.Reason != x509.CANotAuthorizedForThisName {
		t.Errorf("the authority signs for a host of the world: %v", err)
	}
	w.told("CertificateUnusable", `secret "half" has no tls.key; a certificate of skiff's own authority takes its place`)
	w.told("CertificateUnusable", `secret "broken": tls: found a certificate rather than a key in the PEM for the private key; a certificate of skiff's own authority takes its place`)
	w.told("CertificateUnusable", `secret "none" not found; a certificate of skiff's own authority takes its place`)
	w.told("HostNotLocal", `not for "bank.com"`)

	conn, err := tls.Dial("tcp", "127.0.0.1:"+w.port(HTTPSPortAnnotation), &tls.Config{RootCAs: trust, ServerName: "shop.test"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := exchange(conn, "shop.test", "/"); got != "200 default/web /" {
		t.Errorf("over TLS: %s", got)
	}
	if ports := w.get("shop").Status.LoadBalancer.Ingress[0].Ports; len(ports) != 2 {
		t.Errorf("status has ports %+v", ports)
	}
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
	res, err := (&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(&http.Request{
		Host: "safe.test", URL: &url.URL{Scheme: "http", Host: "127.0.0.1:" + w.port(HTTPPortAnnotation), Path: "/x", RawQuery: "y=z"},
	})
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if got, want := res.Header.Get("Location"), "https://safe.test:"+w.port(HTTPSPortAnnotation)+"/x?y=z"; got != want {
		t.Errorf("sent to %q, want %q", got, want)
	}
	conn, err := tls.Dial("tcp", "127.0.0.1:"+w.port(HTTPSPortAnnotation), &tls.Config{InsecureSkipVerify: true, ServerName: "safe.test"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := exchange(conn, "safe.test", "/x"); got != "200 default/web /x" {
		t.Errorf("there: %s", got)
	}
}

// The authority stays the same from start to start, and makes leaves anew
// before they end.
func TestAuthority(t *testing.T) {
	t.Parallel()
	dir, now := t.TempDir(), time.Now()
	if _, err := AuthorityPEM(dir); !errors.Is(err, ErrNoAuthority) {
		t.Errorf("read an authority that is not there: %v", err)
	}
	load := func() *authority {
		a, err := loadAuthority(dir, "test", func() time.Time { return now })
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	a := load()
	leaf := func(name string) string {
		l, err := a.leaf(name)
		if err != nil {
			t.Fatal(err)
		}
		return l.Leaf.SerialNumber.String()
	}
	first := leaf("a.test")
	if leaf("a.test") != first {
		t.Error("a leaf is made for each client")
	}
	if again := load(); !again.ca.Certificate.Equal(a.ca.Certificate) {
		t.Error("each start makes an authority of its own")
	}
	now = now.Add(leafLife - 10*24*time.Hour)
	if leaf("a.test") == first {
		t.Error("a leaf that is about to end is shown")
	}
	for i := range maxLeaves + 100 {
		if i%400 == 0 {
			leaf(fmt.Sprintf("%d.test", i))
		} else {
			a.leaves.Add(fmt.Sprint(i), nil)
		}
	}
	if n := a.leaves.Len(); n > maxLeaves {
		t.Errorf("%d leaves are kept", n)
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
