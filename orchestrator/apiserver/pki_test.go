package apiserver

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"skiff/orchestrator/keypair"
)

var atLoopback = []net.IP{net.IPv4(127, 0, 0, 1)}

func mustLoadPKI(t *testing.T, dir string, now time.Time) *PKI {
	t.Helper()
	pki, err := LoadPKI(dir, atLoopback, now)
	if err != nil {
		t.Fatal(err)
	}
	return pki
}

func TestPKIIsKept(t *testing.T) {
	t.Parallel()
	dir, now := filepath.Join(t.TempDir(), "pki"), time.Now()
	first := mustLoadPKI(t, dir, now)
	second := mustLoadPKI(t, dir, now.Add(time.Hour))
	if !bytes.Equal(first.CA(), second.CA()) || !bytes.Equal(first.client.KeyPEM, second.client.KeyPEM) {
		t.Error("certificates were made twice")
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 4 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		if info, err := file.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file.Name(), info.Mode(), err)
		}
	}
	renewed := mustLoadPKI(t, dir, now.Add(certificateLife-keypair.RenewBefore+time.Hour))
	if bytes.Equal(renewed.CA(), first.CA()) || renewed.server.Certificate.CheckSignatureFrom(renewed.ca.Certificate) != nil {
		t.Error("certificates about to expire were not made again")
	}
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadPKI(dir, atLoopback, now); err == nil {
		t.Error("a damaged certificate was replaced in silence")
	}
}

// Nobody gets in without the certificate in the kubeconfig, not even from
// loopback, and not with one of another instance.
func TestOnlyTheKubeconfigGetsIn(t *testing.T) {
	t.Parallel()
	api := newTestAPI(t, true)
	get := func(config *rest.Config) (int, error) {
		transport, err := rest.TransportFor(config)
		if err != nil {
			t.Fatal(err)
		}
		res, err := (&http.Client{Transport: transport}).Get(api.config.Host + "/healthz")
		if err != nil {
			return 0, err
		}
		_, err = io.Copy(io.Discard, res.Body)
		return res.StatusCode, errors.Join(err, res.Body.Close())
	}
	if code, err := get(api.config); code != 200 || err != nil {
		t.Errorf("%d, %v", code, err)
	}
	without := rest.CopyConfig(api.config)
	without.CertData, without.KeyData = nil, nil
	if code, err := get(without); code != 401 || err != nil {
		t.Errorf("no certificate: %d, %v", code, err)
	}
	stranger := mustLoadPKI(t, t.TempDir(), time.Now())
	foreign := rest.CopyConfig(api.config)
	foreign.CertData, foreign.KeyData = stranger.client.CertPEM, stranger.client.KeyPEM
	if code, err := get(foreign); err == nil {
		t.Errorf("a certificate of another instance: %d", code)
	}
	var unknown *tls.CertificateVerificationError
	distrustful := rest.CopyConfig(api.config)
	distrustful.CAData = stranger.CA()
	if _, err := get(distrustful); !errors.As(err, &unknown) {
		t.Errorf("another authority: %v", err)
	}
}

func TestWriteKubeconfig(t *testing.T) {
	t.Parallel()
	pki := mustLoadPKI(t, t.TempDir(), time.Now())
	path := filepath.Join(t.TempDir(), "sub", "kubeconfig")
	for _, server := range []string{"https://127.0.0.1:1", "https://127.0.0.1:2"} {
		if err := WriteKubeconfig(path, pki.Kubeconfig("skiff", server)); err != nil {
			t.Fatal(err)
		}
		config, err := clientcmd.BuildConfigFromFlags("", path)
		if err != nil || config.Host != server || len(config.CertData) == 0 || len(config.CAData) == 0 {
			t.Errorf("%+v, %v", config, err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// An instance may listen on any loopback address, and on another one next time.
func TestPKIForItsAddress(t *testing.T) {
	t.Parallel()
	dir, now := t.TempDir(), time.Now()
	before := mustLoadPKI(t, dir, now)
	pki, err := LoadPKI(dir, []net.IP{net.IPv4(127, 0, 0, 2)}, now)
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"127.0.0.1", "127.0.0.2", "::1", "localhost"} {
		if err := pki.server.Certificate.VerifyHostname(address); err != nil {
			t.Error(err)
		}
	}
	if !bytes.Equal(before.CA(), pki.CA()) || !bytes.Equal(before.client.CertPEM, pki.client.CertPEM) {
		t.Error("what users hold became worthless")
	}
}
