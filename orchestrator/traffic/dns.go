package traffic

import (
	"net/netip"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"skiff/orchestrator/resource"
	"skiff/proxy/dns"
)

// How long clients may remember an answer. A ClusterIP stays as long as its
// Service; a Pod may be gone the next moment.
const (
	serviceTTL = 5
	podTTL     = 0
)

// records are what the DNS says of a Service, as Kubernetes specifies it:
// https://github.com/kubernetes/dns/blob/master/docs/specification.md
func records(svc *corev1.Service, backends []backend) []dns.Record {
	name := svc.Name + "." + svc.Namespace + ".svc." + resource.Domain
	switch {
	case svc.Spec.Type == corev1.ServiceTypeExternalName:
		return []dns.Record{{Name: name, Type: dns.CNAME, TTL: serviceTTL, Value: strings.TrimSuffix(svc.Spec.ExternalName, ".")}}
	case svc.Spec.ClusterIP == corev1.ClusterIPNone:
		return headlessRecords(svc, name, backends)
	case svc.Spec.ClusterIP == "":
		return nil
	}
	out := []dns.Record{
		{Name: name, Type: dns.A, TTL: serviceTTL, Value: svc.Spec.ClusterIP},
		{Name: reverse(svc.Spec.ClusterIP), Type: dns.PTR, TTL: serviceTTL, Value: name},
	}
	for _, p := range svc.Spec.Ports {
		if p.Name != "" {
			out = append(out, dns.Record{Name: srvName(p, name), Type: dns.SRV, TTL: serviceTTL, Value: name, Port: uint16(p.Port)})
		}
	}
	return out
}

func headlessRecords(svc *corev1.Service, name string, backends []backend) []dns.Record {
	var out []dns.Record
	for _, b := range backends {
		own := b.hostname
		if own == "" {
			own = strings.ReplaceAll(b.ip, ".", "-")
		}
		own += "." + name
		out = append(out,
			dns.Record{Name: name, Type: dns.A, TTL: podTTL, Value: b.ip},
			dns.Record{Name: own, Type: dns.A, TTL: podTTL, Value: b.ip})
		if b.hostname != "" {
			out = append(out, dns.Record{Name: reverse(b.ip), Type: dns.PTR, TTL: podTTL, Value: own})
		}
		for _, p := range svc.Spec.Ports {
			if number, ok := b.port(p); ok && p.Name != "" {
				out = append(out, dns.Record{Name: srvName(p, name), Type: dns.SRV, TTL: podTTL, Value: own, Port: uint16(number)})
			}
		}
	}
	return out
}

func srvName(p corev1.ServicePort, of string) string {
	return "_" + p.Name + "._" + strings.ToLower(string(protocolName(p.Protocol))) + "." + of
}

// reverse is the name under which an address is looked up.
func reverse(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil || !ip.Is4() {
		return ""
	}
	b := ip.As4()
	var name strings.Builder
	for i := 3; i >= 0; i-- {
		name.WriteString(strconv.Itoa(int(b[i])) + ".")
	}
	return name.String() + "in-addr.arpa"
}
