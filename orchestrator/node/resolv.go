package node

import (
	"net/netip"
	"os"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"skiff/orchestrator/resource"
)

// resolver is what a resolv.conf says.
type resolver struct {
	servers, searches, options []string
}

// engineResolver is what the engine writes for containers of its networks.
var engineResolver = resolver{servers: []string{"127.0.0.11"}, options: []string{"ndots:0"}}

// resolv is what a Pod's resolv.conf says, as the kubelet writes it. The second
// result is false where that is what the engine writes by itself.
func resolv(pod *corev1.Pod, dns netip.Addr) (resolver, bool) {
	config, policy := pod.Spec.DNSConfig, pod.Spec.DNSPolicy
	if pod.Spec.HostNetwork && policy == corev1.DNSClusterFirst {
		policy = corev1.DNSDefault
	}
	switch {
	case policy == corev1.DNSNone:
		return resolver{}.with(config), true
	case policy != corev1.DNSDefault && dns.IsValid():
		return servicesFirst(pod.Namespace, dns).with(config), true
	case config == nil:
		return resolver{}, false
	case pod.Spec.HostNetwork:
		return machineResolver().with(config), true
	}
	return engineResolver.with(config), true
}

// servicesFirst is what a Pod of a namespace is told by default: short names are
// those of Services first, then those of the machine's own domains. A container
// gets this file and not the engine's resolver with the server behind it, which
// would be asked first, and by which lookups would end with the engine.
func servicesFirst(namespace string, dns netip.Addr) resolver {
	services := "svc." + resource.Domain
	return resolver{
		servers:  []string{dns.String()},
		searches: unique([]string{namespace + "." + services, services, resource.Domain}, machineResolver().searches),
		options:  []string{"ndots:5"},
	}
}

// with adds what a Pod says itself. Its options go before those of the same name.
func (r resolver) with(config *corev1.PodDNSConfig) resolver {
	if config == nil {
		return r
	}
	out := resolver{
		servers:  unique(r.servers, config.Nameservers),
		searches: unique(r.searches, config.Searches),
	}
	own := map[string]bool{}
	for _, o := range config.Options {
		own[o.Name] = true
	}
	for _, o := range r.options {
		if name, _, _ := strings.Cut(o, ":"); !own[name] {
			out.options = append(out.options, o)
		}
	}
	for _, o := range config.Options {
		if o.Value != nil {
			out.options = append(out.options, o.Name+":"+*o.Value)
		} else {
			out.options = append(out.options, o.Name)
		}
	}
	return out
}

func unique(lists ...[]string) []string {
	var out []string
	for _, s := range slices.Concat(lists...) {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func (r resolver) String() string {
	var b strings.Builder
	for _, s := range r.servers {
		b.WriteString("nameserver " + s + "\n")
	}
	for _, line := range []struct {
		word   string
		values []string
	}{{"search", r.searches}, {"options", r.options}} {
		if len(line.values) > 0 {
			b.WriteString(line.word + " " + strings.Join(line.values, " ") + "\n")
		}
	}
	return b.String()
}

// machineResolver is what this machine says. A machine without the file asks
// itself, as the resolver has it.
func machineResolver() resolver {
	text, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		return resolver{servers: []string{"127.0.0.1"}}
	}
	return parseResolver(string(text))
}

func parseResolver(text string) resolver {
	var r resolver
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		switch f[0] {
		case "nameserver":
			r.servers = append(r.servers, f[1])
		case "search":
			r.searches = f[1:]
		case "options":
			r.options = append(r.options, f[1:]...)
		}
	}
	return r
}
