package apiserver

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	certificateLife = 10 * 365 * 24 * time.Hour
	// A certificate this close to its end is made again at the next start.
	renewBefore = 30 * 24 * time.Hour
	// Clocks step back; a certificate made now must be good then.
	backdate = time.Hour
)

// PKI is an instance's own authority with the two certificates it needs: the
// API's and its user's. Whoever cannot read the user's key cannot use the API.
type PKI struct {
	ca, server, client keyPair
	tokens             keyPair // signs the tokens of service accounts
}

type keyPair struct {
	certificate     *x509.Certificate
	key             crypto.Signer
	certPEM, keyPEM []byte
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
	if pki.ca, err = loadOrIssue(dir, "ca", authority(now), nil, now); err != nil {
		return nil, err
	}
	if pki.server, err = loadOrIssue(dir, "server", serverTemplate(at, now), &pki.ca, now); err != nil {
		return nil, err
	}
	if pki.client, err = loadOrIssue(dir, "client", clientTemplate(now), &pki.ca, now); err != nil {
		return nil, err
	}
	if pki.tokens, err = loadOrIssue(dir, "tokens", tokensTemplate(now), &pki.ca, now); err != nil {
		return nil, err
	}
	return &pki, nil
}

// CA is the authority's certificate, PEM encoded.
func (p *PKI) CA() []byte { return p.ca.certPEM }

// Tokens signs the tokens of service accounts.
func (p *PKI) Tokens() crypto.Signer { return p.tokens.key }

// ServerTLS is for the API's listener. Clients may show a certificate of the
// authority; who shows another one, or a stranger's, does not get in.
func (p *PKI) ServerTLS() *tls.Config {
	clients := x509.NewCertPool()
	clients.AddCert(p.ca.certificate)
	return &tls.Config{
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"h2", "http/1.1"},
		ClientAuth:   tls.VerifyClientCertIfGiven,
		ClientCAs:    clients,
		Certificates: []tls.Certificate{{Certificate: [][]byte{p.server.certificate.Raw}, PrivateKey: p.server.key, Leaf: p.server.certificate}},
	}
}

func authority(now time.Time) *x509.Certificate {
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: "skiff"},
		NotBefore:             now.Add(-backdate),
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
		NotBefore:   now.Add(-backdate),
		NotAfter:    now.Add(certificateLife),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{
			"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
		},
		IPAddresses: append([]net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}, at...),
	}
}

func clientTemplate(now time.Time) *x509.Certificate {
	return &x509.Certificate{
		Subject:     pkix.Name{CommonName: "skiff-admin", Organization: []string{"system:masters"}},
		NotBefore:   now.Add(-backdate),
		NotAfter:    now.Add(certificateLife),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
}

// tokensTemplate is good for signing tokens and for no connection.
func tokensTemplate(now time.Time) *x509.Certificate {
	return &x509.Certificate{
		Subject:   pkix.Name{CommonName: "skiff-tokens"},
		NotBefore: now.Add(-backdate),
		NotAfter:  now.Add(certificateLife),
		KeyUsage:  x509.KeyUsageDigitalSignature,
		// Without one it would be good for everything.
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning},
	}
}

// loadOrIssue returns the pair called name in dir. issuer is nil for the
// authority, which signs itself.
func loadOrIssue(dir, name string, template *x509.Certificate, issuer *keyPair, now time.Time) (keyPair, error) {
	path := filepath.Join(dir, name)
	pair, err := loadPair(path)
	switch {
	case err == nil && pair.usable(template, issuer, now):
		return pair, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return keyPair{}, fmt.Errorf("read certificate %s: %w", path, err)
	}
	pair, err = issue(template, issuer)
	if err != nil {
		return keyPair{}, fmt.Errorf("make certificate %s: %w", name, err)
	}
	// Key and certificate in one file: a crash cannot leave a mismatched pair.
	if err := writeFile(path+".pem", append(pair.certPEM[:len(pair.certPEM):len(pair.certPEM)], pair.keyPEM...)); err != nil {
		return keyPair{}, err
	}
	return pair, nil
}

func (p keyPair) usable(wanted *x509.Certificate, issuer *keyPair, now time.Time) bool {
	names := slices.Clone(wanted.DNSNames)
	for _, ip := range wanted.IPAddresses {
		names = append(names, ip.String())
	}
	for _, name := range names {
		if p.certificate.VerifyHostname(name) != nil {
			return false
		}
	}
	if issuer == nil {
		issuer = &p
	}
	return now.Add(renewBefore).Before(p.certificate.NotAfter) &&
		!now.Before(p.certificate.NotBefore) &&
		p.certificate.CheckSignatureFrom(issuer.certificate) == nil
}

func loadPair(path string) (keyPair, error) {
	raw, err := os.ReadFile(path + ".pem")
	if err != nil {
		return keyPair{}, err
	}
	pair, err := tls.X509KeyPair(raw, raw)
	if err != nil {
		return keyPair{}, err
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return keyPair{}, fmt.Errorf("key of type %T cannot sign", pair.PrivateKey)
	}
	return encodePair(pair.Leaf, signer)
}

func issue(template *x509.Certificate, issuer *keyPair) (keyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return keyPair{}, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return keyPair{}, err
	}
	parent, signer := template, crypto.Signer(key)
	if issuer != nil {
		parent, signer = issuer.certificate, issuer.key
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return keyPair{}, err
	}
	certificate, err := x509.ParseCertificate(raw)
	if err != nil {
		return keyPair{}, err
	}
	return encodePair(certificate, key)
}

func encodePair(certificate *x509.Certificate, key crypto.Signer) (keyPair, error) {
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return keyPair{}, err
	}
	return keyPair{
		certificate: certificate,
		key:         key,
		certPEM:     pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}),
		keyPEM:      pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}),
	}, nil
}
