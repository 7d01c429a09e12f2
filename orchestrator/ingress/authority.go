package ingress

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/utils/lru"

	"skiff/orchestrator/keypair"
)

const (
	authorityFile = "ingress-ca"
	authorityLife = 5 * 365 * 24 * time.Hour
	leafLife      = 90 * 24 * time.Hour // below the 397 days that browsers take
	maxLeaves     = 1000
)

// localNames are the domains that never belong to anybody (RFC 2606, 6761, 6762,
// 8375). The authority can sign for no others: a user who trusts it, and loses
// its key, loses no site of the world.
var localNames = []string{
	"localhost", "test", "example", "invalid", "example.com", "example.net", "example.org", "local", "internal", "home.arpa",
}

// authority makes the certificates of hosts for which there is no Secret.
type authority struct {
	ca     keypair.Pair
	leaves *lru.Cache // of *tls.Certificate by name
	now    func() time.Time
}

// loadAuthority reads the authority in dir, or makes it.
func loadAuthority(dir, instance string, now func() time.Time) (*authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make certificate directory: %w", err)
	}
	at := now()
	ca, err := keypair.LoadOrIssue(dir, authorityFile, &x509.Certificate{
		Subject:                     pkix.Name{CommonName: fmt.Sprintf("skiff %s, local hosts only, %s", instance, at.Format(time.DateOnly))},
		NotBefore:                   at.Add(-keypair.Backdate),
		NotAfter:                    at.Add(authorityLife),
		KeyUsage:                    x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		IsCA:                        true,
		BasicConstraintsValid:       true,
		MaxPathLenZero:              true,
		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         localNames,
		PermittedIPRanges: []*net.IPNet{
			{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)},
			{IP: net.IPv6loopback, Mask: net.CIDRMask(128, 128)},
		},
	}, nil, at)
	if err != nil {
		return nil, err
	}
	return &authority{ca: ca, leaves: lru.New(maxLeaves), now: now}, nil
}

// leaf is the certificate of a host, made when it is first asked for and again
// before it ends.
func (a *authority) leaf(name string) (*tls.Certificate, error) {
	now := a.now()
	if known, ok := a.leaves.Get(name); ok {
		if leaf := known.(*tls.Certificate); now.Add(keypair.RenewBefore).Before(leaf.Leaf.NotAfter) {
			return leaf, nil
		}
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "skiff"},
		NotBefore:   now.Add(-keypair.Backdate),
		NotAfter:    now.Add(leafLife),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{name},
	}
	if name == localhost {
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	}
	pair, err := keypair.Issue(template, &a.ca)
	if err != nil {
		return nil, fmt.Errorf("make a certificate for %s: %w", name, err)
	}
	leaf := pair.TLS()
	a.leaves.Add(name, &leaf)
	return &leaf, nil
}

// signsFor says whether clients that trust the authority trust it for a host.
func signsFor(host string) bool {
	return slices.ContainsFunc(localNames, func(d string) bool { return host == d || strings.HasSuffix(host, "."+d) })
}

// ErrNoAuthority: no daemon with Ingress has run yet.
var ErrNoAuthority = errors.New("there is no certificate authority yet")

// AuthorityPEM reads the certificate of the authority that is kept in dir.
func AuthorityPEM(dir string) ([]byte, error) {
	raw, err := os.ReadFile(filepath.Join(dir, authorityFile+".pem"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoAuthority
	}
	if err != nil {
		return nil, fmt.Errorf("read the certificate authority: %w", err)
	}
	for block, rest := pem.Decode(raw); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			return pem.EncodeToMemory(block), nil
		}
	}
	return nil, errors.New("read the certificate authority: no certificate in its file")
}
