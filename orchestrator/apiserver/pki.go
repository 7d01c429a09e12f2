package apiserver

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"os"
	"time"

	"skiff/orchestrator/keypair"
	"skiff/orchestrator/resource"
)

const certificateLife = 10 * 365 * 24 * time.Hour

// Who the instance's user is. Upstream's servers let that group do everything, too.
const (
	adminName  = "skiff-admin"
	adminGroup = "system:masters"
)

// PKI is an instance's own authority with the two certificates it needs: the
// API's and its user's. Whoever cannot read the user's key cannot use the API.
type PKI struct {
	ca, server, client keypair.Pair
	tokens             keypair.Pair // signs the tokens of service accounts
}

// LoadPKI reads the certificates in dir, for an API that is reached at these
// addresses and by its names in the cluster. It makes those that are not there,
// are about to expire or are for others; with a new authority all are made anew.
func LoadPKI(dir string, at []net.IP, now time.Time) (*PKI, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make certificate directory: %w", err)
	}
	var pki PKI
	var err error
	if pki.ca, err = keypair.LoadOrIssue(dir, "ca", authority(now), nil, now); err != nil {
		return nil, err
	}
	if pki.server, err = keypair.LoadOrIssue(dir, "server", serverTemplate(at, now), &pki.ca, now); err != nil {
		return nil, err
	}
	if pki.client, err = keypair.LoadOrIssue(dir, "client", clientTemplate(now), &pki.ca, now); err != nil {
		return nil, err
	}
	if pki.tokens, err = keypair.LoadOrIssue(dir, "tokens", tokensTemplate(now), &pki.ca, now); err != nil {
		return nil, err
	}
	return &pki, nil
}

// CA is the authority's certificate, PEM encoded.
func (p *PKI) CA() []byte { return p.ca.CertPEM }

// Tokens signs the tokens of service accounts.
func (p *PKI) Tokens() crypto.Signer { return p.tokens.Key }

// ServerTLS is for the API's listener. Clients may show a certificate of the
// authority; who shows another one, or a stranger's, does not get in.
func (p *PKI) ServerTLS() *tls.Config {
	clients := x509.NewCertPool()
	clients.AddCert(p.ca.Certificate)
	return &tls.Config{
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"h2", "http/1.1"},
		ClientAuth:   tls.VerifyClientCertIfGiven,
		ClientCAs:    clients,
		Certificates: []tls.Certificate{p.server.TLS()},
	}
}

func authority(now time.Time) *x509.Certificate {
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: "skiff"},
		NotBefore:             now.Add(-keypair.Backdate),
		NotAfter:              now.Add(certificateLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
	}
}

func serverTemplate(at []net.IP, now time.Time) *x509.Certificate {
	return &x509.Certificate{
		Subject:     pkix.Name{CommonName: "skiff-apiserver"},
		NotBefore:   now.Add(-keypair.Backdate),
		NotAfter:    now.Add(certificateLife),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{
			"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + resource.Domain,
		},
		IPAddresses: append([]net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}, at...),
	}
}

func clientTemplate(now time.Time) *x509.Certificate {
	return &x509.Certificate{
		Subject:     pkix.Name{CommonName: adminName, Organization: []string{adminGroup}},
		NotBefore:   now.Add(-keypair.Backdate),
		NotAfter:    now.Add(certificateLife),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
}

// tokensTemplate is good for signing tokens and for no connection.
func tokensTemplate(now time.Time) *x509.Certificate {
	return &x509.Certificate{
		Subject:   pkix.Name{CommonName: "skiff-tokens"},
		NotBefore: now.Add(-keypair.Backdate),
		NotAfter:  now.Add(certificateLife),
		KeyUsage:  x509.KeyUsageDigitalSignature,
		// Without one it would be good for everything.
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning},
	}
}
