package main_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io/fs"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestAccess: who cannot read the kubeconfig cannot command the instance.
func TestAccess(t *testing.T) {
	t.Parallel()
	i := start(t)
	i.checkModes(t)

	config := i.api(t).Config
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(config.CAData) {
		t.Fatal("the kubeconfig has no certificate authority")
	}
	own, err := tls.X509KeyPair(config.CertData, config.KeyData)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		certs []tls.Certificate
		ok    bool
	}{
		{"the kubeconfig's certificate", []tls.Certificate{own}, true},
		{"no certificate", nil, false},
		{"a certificate of one's own making", []tls.Certificate{selfSigned(t)}, false},
	} {
		client := &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: c.certs}}}
		for _, path := range []string{"/api/v1/namespaces/default/secrets", "/healthz", "/version"} {
			answer, err := client.Get(config.Host + path)
			if err == nil {
				_ = answer.Body.Close()
			}
			if answered := err == nil && answer.StatusCode == http.StatusOK; answered != c.ok {
				t.Errorf("%s with %s: %v, %v", path, c.name, answer, err)
			}
		}
	}
	host, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := http.Get("http://" + host.Host + "/api/v1/secrets"); err == nil {
		if _ = answer.Body.Close(); answer.StatusCode == http.StatusOK {
			t.Errorf("without TLS: %s", answer.Status)
		}
	}
	if !strings.HasPrefix(host.Host, "127.0.0.1:") {
		t.Errorf("the API listens on %s", host.Host)
	}
	want := "error: listen address \"0.0.0.0:0\": must be a loopback address such as 127.0.0.1:7443\n"
	if r := try(t, newInstance(t).skiff, "up", "--listen", "0.0.0.0:0"); r.code != 1 || r.err != want {
		t.Errorf("up on all addresses: want %q, got %v", want, r)
	}
}

// checkModes sees that nobody else can read anything of the instance.
func (i *instance) checkModes(t *testing.T) {
	t.Helper()
	want := map[string]fs.FileMode{i.dir: 0o700, i.paths().Kubeconfig: 0o600, i.paths().State: 0o600, i.paths().Log: 0o600}
	for path, mode := range want {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != mode {
			t.Errorf("%s has mode %o, want %o", path, info.Mode().Perm(), mode)
		}
	}
	err := filepath.WalkDir(i.paths().PKI, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %o", path, info.Mode().Perm())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "skiff", Organization: []string{"system:masters"}},
		NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// TestNoDaemon: every command says how to start its instance, also after a crash.
func TestNoDaemon(t *testing.T) {
	t.Parallel()
	never, crashed := newInstance(t), start(t)
	crashed.crash(t)
	says := func(i *instance, line string) {
		want := fmt.Sprintf("skiff is not running: start it with \"skiff --name %s up -d\"\n", i.name)
		if r := try(t, i.skiff, strings.Fields(line)...); r.code != 1 || r.out != "" || r.err != want {
			t.Errorf("skiff %s: want %q, got %v", line, want, r)
		}
	}
	for _, line := range []string{
		"status", "kubeconfig", "kubeconfig --merge", "down",
		"get all", "get -f " + db, "describe pods", "logs -f deployment/web",
		"create -f " + db, "apply -f " + db, "edit deployment/web", "delete -f " + db, "scale deployment/web --replicas=1",
		"set image deployment/web web=web:2", "rollout status deployment/web", "rollout history -f " + db,
		"rollout undo deployment/web", "rollout pause deployment/web", "rollout resume deployment/web", "rollout restart deployment/web",
	} {
		says(never, line)
	}
	for _, line := range []string{"status", "kubeconfig", "down", "get all", "apply -f " + db} {
		says(crashed, line)
	}
	if _, err := os.Stat(never.dir); err == nil {
		t.Errorf("commands without a daemon have made %s", never.dir)
	}
}
