package orchestrator

import "skiff/orchestrator/ingress"

// IngressPorts are where Ingresses are served; 0 is any port that is free.
type IngressPorts = ingress.Ports

// ErrNoAuthority: no instance with Ingress has run yet.
var ErrNoAuthority = ingress.ErrNoAuthority

// Authority is the certificate, PEM encoded, of the authority that signs for
// the hosts of Ingresses which name no Secret.
func (p Paths) Authority() ([]byte, error) { return ingress.AuthorityPEM(p.PKI) }
