package gateway

import (
	"bytes"
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
	"os"
	"time"
)

// serverName is what the gateway calls itself to the daemon.
const serverName = "gateway.skiff"

const (
	identityLife = 10 * 365 * 24 * time.Hour
	renewBefore  = 30 * 24 * time.Hour
	backdate     = time.Hour // clocks step back
)

// Identity is by what the two ends of a link know each other: a key of their
// own that nobody else has, and that opens nothing else.
type Identity struct{ pem []byte }

// LoadIdentity reads the identity in a file, and makes one where there is none
// or it is about to expire.
func LoadIdentity(path string, now time.Time) (Identity, error) {
	text, err := os.ReadFile(path)
	if err == nil {
		if pair, err := tls.X509KeyPair(text, text); err == nil && now.Add(renewBefore).Before(pair.Leaf.NotAfter) {
			return Identity{text}, nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return Identity{}, fmt.Errorf("read the gateway's identity: %w", err)
	}
	if text, err = makeIdentity(now); err != nil {
		return Identity{}, fmt.Errorf("make the gateway's identity: %w", err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return Identity{}, fmt.Errorf("keep the gateway's identity: %w", err)
	}
	return Identity{text}, nil
}

func makeIdentity(now time.Time) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: serverName},
		DNSNames:              []string{serverName},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(identityLife),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	err = errors.Join(
		pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: certificate}),
		pem.Encode(&text, &pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	return text.Bytes(), err
}

// tls is for both ends: each shows the certificate and takes no other.
func (i Identity) tls() (*tls.Config, error) {
	pair, err := tls.X509KeyPair(i.pem, i.pem)
	if err != nil {
		return nil, fmt.Errorf("read the gateway's identity: %w", err)
	}
	own := x509.NewCertPool()
	own.AddCert(pair.Leaf)
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{pair},
		RootCAs:      own,
		ServerName:   serverName,
		ClientCAs:    own,
		ClientAuth:   tls.RequireAndVerifyClientCert,
	}, nil
}
