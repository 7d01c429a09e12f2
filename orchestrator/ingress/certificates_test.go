package ingress

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/proxy"
)

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

	for _, speaks := range [][]string{nil, {"http/1.1"}, {"http/1.0"}} {
		conn, err := tls.Dial("tcp", "127.0.0.1:"+w.port(HTTPSPortAnnotation), &tls.Config{RootCAs: trust, ServerName: "shop.test", NextProtos: speaks})
		if err != nil {
			t.Errorf("a client that speaks %v: %v", speaks, err)
			continue
		}
		defer conn.Close()
		if got := exchange(conn, "shop.test", "/"); got != "200 default/web /" {
			t.Errorf("over TLS, %v: %s", speaks, got)
		}
	}
	if ports := w.get("shop").Status.LoadBalancer.Ingress[0].Ports; len(ports) != 2 {
		t.Errorf("status has ports %+v", ports)
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
