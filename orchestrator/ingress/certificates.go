package ingress

import (
	"crypto/tls"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"skiff/proxy/route"
)

const localhost = "localhost"

// certificates are those of Secrets, by the name or wildcard of a host.
type certificates map[string]*tls.Certificate

// of is the certificate for a name, or nil.
func (c certificates) of(name string) *tls.Certificate {
	if found := c[name]; found != nil {
		return found
	}
	if _, rest, ok := strings.Cut(name, "."); ok {
		return c["*."+rest]
	}
	return nil
}

// certificatesOf reads the Secrets that Ingresses name, the oldest first. Where
// one is of no use, its Ingress is told, and the local authority steps in.
func certificatesOf(all []*networkingv1.Ingress, secret func(namespace, name string) (*corev1.Secret, error)) (certificates, map[*networkingv1.Ingress][]problem) {
	found, problems := certificates{}, map[*networkingv1.Ingress][]problem{}
	tell := func(in *networkingv1.Ingress, reason, format string, args ...any) {
		problems[in] = append(problems[in], problem{reason, fmt.Sprintf(format, args...)})
	}
	for _, in := range all {
		for _, t := range in.Spec.TLS {
			hosts := t.Hosts
			if len(hosts) == 0 {
				hosts = ruleHosts(in)
			}
			if t.SecretName == "" {
				for _, host := range hosts {
					if !signsFor(host) {
						tell(in, "HostNotLocal", "skiff's own certificate authority is trusted for local names only (%s), not for %q: name a Secret with a certificate", strings.Join(localNames, ", "), host)
					}
				}
				continue
			}
			pair, err := certificateIn(in.Namespace, t.SecretName, secret)
			if err != nil {
				tell(in, "CertificateUnusable", "%v; a certificate of skiff's own authority takes its place", err)
				continue
			}
			for _, host := range hosts {
				if found[host] == nil {
					found[host] = pair
				}
			}
		}
	}
	return found, problems
}

func certificateIn(namespace, name string, secret func(namespace, name string) (*corev1.Secret, error)) (*tls.Certificate, error) {
	s, err := secret(namespace, name)
	if err != nil {
		return nil, err
	}
	for _, key := range []string{corev1.TLSCertKey, corev1.TLSPrivateKeyKey} {
		if len(s.Data[key]) == 0 {
			return nil, fmt.Errorf("secret %q has no %s", name, key)
		}
	}
	pair, err := tls.X509KeyPair(s.Data[corev1.TLSCertKey], s.Data[corev1.TLSPrivateKeyKey])
	if err != nil {
		return nil, fmt.Errorf("secret %q: %w", name, err)
	}
	return &pair, nil
}

func ruleHosts(in *networkingv1.Ingress) []string {
	var hosts []string
	for _, r := range in.Spec.Rules {
		if r.Host != "" {
			hosts = append(hosts, r.Host)
		}
	}
	return hosts
}

// tls is how the doors speak it.
func (c *Controller) tls() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1", "http/1.0"},
		GetCertificate: c.certificate,
	}
}

// certificate is what a client is shown: of the Secret for the name that it
// asks for, else of the local authority.
func (c *Controller) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := route.Host(hello.ServerName)
	if found := c.certificates.Load().of(name); found != nil {
		return found, nil
	}
	if len(validation.IsDNS1123Subdomain(name)) > 0 {
		name = localhost
	}
	return c.authority.leaf(name)
}
