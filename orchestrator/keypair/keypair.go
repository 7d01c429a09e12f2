// Package keypair makes and keeps keys with their certificates.
package keypair

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// RenewBefore is how close to its end a certificate is made again.
const RenewBefore = 30 * 24 * time.Hour

// Backdate is for clocks that step back: a certificate made now must be good then.
const Backdate = time.Hour

// Pair is a certificate and its key.
type Pair struct {
	Certificate     *x509.Certificate
	Key             crypto.Signer
	CertPEM, KeyPEM []byte
}

// TLS is the pair as a server shows it.
func (p Pair) TLS() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{p.Certificate.Raw}, PrivateKey: p.Key, Leaf: p.Certificate}
}

// LoadOrIssue returns the pair called name in dir, and makes it where it is not
// there, about to expire or for other names. issuer is nil for an authority,
// which signs itself.
func LoadOrIssue(dir, name string, template *x509.Certificate, issuer *Pair, now time.Time) (Pair, error) {
	path := filepath.Join(dir, name)
	pair, err := loadPair(path)
	switch {
	case err == nil && pair.usable(template, issuer, now):
		return pair, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return Pair{}, fmt.Errorf("read certificate %s: %w", path, err)
	}
	pair, err = Issue(template, issuer)
	if err != nil {
		return Pair{}, fmt.Errorf("make certificate %s: %w", name, err)
	}
	// Key and certificate in one file: a crash cannot leave a mismatched pair.
	if err := WriteFile(path+".pem", append(pair.CertPEM[:len(pair.CertPEM):len(pair.CertPEM)], pair.KeyPEM...)); err != nil {
		return Pair{}, err
	}
	return pair, nil
}

func (p Pair) usable(wanted *x509.Certificate, issuer *Pair, now time.Time) bool {
	names := slices.Clone(wanted.DNSNames)
	for _, ip := range wanted.IPAddresses {
		names = append(names, ip.String())
	}
	for _, name := range names {
		if p.Certificate.VerifyHostname(name) != nil {
			return false
		}
	}
	if issuer == nil {
		issuer = &p
	}
	return now.Add(RenewBefore).Before(p.Certificate.NotAfter) &&
		!now.Before(p.Certificate.NotBefore) &&
		p.Certificate.CheckSignatureFrom(issuer.Certificate) == nil
}

func loadPair(path string) (Pair, error) {
	raw, err := os.ReadFile(path + ".pem")
	if err != nil {
		return Pair{}, err
	}
	pair, err := tls.X509KeyPair(raw, raw)
	if err != nil {
		return Pair{}, err
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return Pair{}, fmt.Errorf("key of type %T cannot sign", pair.PrivateKey)
	}
	return encodePair(pair.Leaf, signer)
}

// Issue makes a pair by a template, whose serial number it sets.
func Issue(template *x509.Certificate, issuer *Pair) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return Pair{}, err
	}
	parent, signer := template, crypto.Signer(key)
	if issuer != nil {
		parent, signer = issuer.Certificate, issuer.Key
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return Pair{}, err
	}
	certificate, err := x509.ParseCertificate(raw)
	if err != nil {
		return Pair{}, err
	}
	return encodePair(certificate, key)
}

func encodePair(certificate *x509.Certificate, key crypto.Signer) (Pair, error) {
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Pair{}, err
	}
	return Pair{
		Certificate: certificate,
		Key:         key,
		CertPEM:     pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}),
		KeyPEM:      pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}),
	}, nil
}
