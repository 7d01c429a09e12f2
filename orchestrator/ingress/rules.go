package ingress

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/utils/ptr"

	"skiff/orchestrator/resource"
	"skiff/orchestrator/traffic"
	"skiff/proxy"
	"skiff/proxy/route"
)

// target is where a rule leads. With a reason it leads nowhere.
type target struct {
	to     proxy.Destination
	reason string
	secure bool // who asks without TLS is to come back with it
}

type rule = route.Rule[target]

// ruleSet collects rules, and remembers whose they are.
type ruleSet struct {
	rules   []rule
	owners  []*networkingv1.Ingress // of each rule, in their order; nil: of nobody
	resolve func(namespace string, b *networkingv1.IngressBackend) target
}

func (s *ruleSet) add(owner *networkingv1.Ingress, r rule) {
	s.rules, s.owners = append(s.rules, r), append(s.owners, owner)
}

// ingresses adds the rules of Ingresses, the oldest of which wins. What no rule
// matches goes to the default back end of the Ingress that names the host, or to
// that of the oldest that has one.
func (s *ruleSet) ingresses(all []*networkingv1.Ingress) {
	var hosts []string
	defaults := map[string]*networkingv1.Ingress{} // by host; "": of all others
	adopt := func(host string, in *networkingv1.Ingress) {
		if in.Spec.DefaultBackend != nil && defaults[host] == nil {
			defaults[host] = in
		}
	}
	for _, in := range all {
		adopt("", in)
		for _, r := range in.Spec.Rules {
			hosts = append(hosts, r.Host)
			adopt(r.Host, in)
			if r.HTTP == nil {
				continue
			}
			for i := range r.HTTP.Paths {
				p := &r.HTTP.Paths[i]
				exact := ptr.Deref(p.PathType, "") == networkingv1.PathTypeExact
				s.add(in, rule{Host: r.Host, Path: cmp.Or(p.Path, "/"), Exact: exact, To: s.target(in, r.Host, &p.Backend)})
			}
		}
	}
	for _, host := range append(hosts, "") {
		if in := cmp.Or(defaults[host], defaults[""]); in != nil {
			s.add(nil, rule{Host: host, Path: "/", To: s.target(in, host, in.Spec.DefaultBackend)})
		}
	}
}

func (s *ruleSet) target(in *networkingv1.Ingress, host string, b *networkingv1.IngressBackend) target {
	to := s.resolve(in.Namespace, b)
	to.secure = resource.RedirectsToTLS(in) && slices.ContainsFunc(in.Spec.TLS, func(t networkingv1.IngressTLS) bool { return secures(t, host) })
	return to
}

// secures says whether TLS is for a host of the Ingress.
func secures(t networkingv1.IngressTLS, host string) bool {
	_, domain, _ := strings.Cut(host, ".")
	return len(t.Hosts) == 0 || slices.Contains(t.Hosts, host) || slices.Contains(t.Hosts, "*."+domain)
}

// services adds the names that Services have for a browser: web.localhost for
// those of the namespace default, web.shop.localhost for all. An Ingress that
// names such a host has it to itself. names are, by namespace/name, the shortest
// that each has.
func (s *ruleSet) services(all []*corev1.Service, http func(*corev1.Service) (proxy.Destination, bool)) (names map[string]string) {
	names = map[string]string{}
	taken := map[string]bool{}
	for _, r := range s.rules {
		taken[r.Host] = true
	}
	for _, svc := range all {
		to, ok := http(svc)
		if !ok {
			continue
		}
		hosts := []string{svc.Name + "." + svc.Namespace + ".localhost"}
		if svc.Namespace == corev1.NamespaceDefault {
			hosts = append(hosts, svc.Name+".localhost")
		}
		for _, host := range hosts {
			if !taken[host] {
				s.add(nil, rule{Host: host, Path: "/", To: target{to: to}})
				names[svc.Namespace+"/"+svc.Name] = host
			}
		}
	}
	return names
}

// conflicts says of each Ingress which of its rules have no effect.
func (s *ruleSet) conflicts(hidden []int) map[*networkingv1.Ingress][]problem {
	found := map[*networkingv1.Ingress][]problem{}
	for _, i := range hidden {
		owner, r := s.owners[i], s.rules[i]
		if owner == nil {
			continue
		}
		winner := "there are too many rules"
		first := slices.IndexFunc(s.rules, func(o rule) bool { return o.Host == r.Host && o.Path == r.Path && o.Exact == r.Exact })
		if first < i {
			winner = fmt.Sprintf("ingress %s/%s has it already", s.owners[first].Namespace, s.owners[first].Name)
		}
		found[owner] = append(found[owner], problem{"RuleConflict", fmt.Sprintf("the rule for host %q and path %q has no effect: %s", r.Host, r.Path, winner)})
	}
	return found
}

// resolve finds what a back end of an Ingress is.
func (c *Controller) resolve(namespace string, b *networkingv1.IngressBackend) target {
	if b.Service == nil {
		return target{reason: "the back end of this Ingress is a resource; skiff serves Services only"}
	}
	none := func(format string, args ...any) target {
		return target{reason: fmt.Sprintf("Service %s/%s ", namespace, b.Service.Name) + fmt.Sprintf(format, args...)}
	}
	svc, err := c.services.Services(namespace).Get(b.Service.Name)
	switch {
	case err != nil:
		return none("does not exist")
	case svc.Spec.Type == corev1.ServiceTypeExternalName:
		return none("is an external name, which skiff does not forward to")
	case svc.Spec.ClusterIP == corev1.ClusterIPNone:
		return none("is headless: it has no ports to forward to")
	}
	port, found := portOf(svc, b.Service.Port)
	switch {
	case !found:
		return none("has no port %s", cmp.Or(b.Service.Port.Name, fmt.Sprint(b.Service.Port.Number)))
	case port.Protocol != corev1.ProtocolTCP:
		return none("has port %d for %s only", port.Port, port.Protocol)
	}
	to, _, ok := c.Board.Port(namespace+"/"+svc.Name, traffic.PortName(port))
	if !ok {
		return none("is not forwarded yet")
	}
	return target{to: to}
}

// portOf is a Service's port by its name or number, one for TCP if there is.
func portOf(svc *corev1.Service, wanted networkingv1.ServiceBackendPort) (port corev1.ServicePort, found bool) {
	for _, p := range svc.Spec.Ports {
		if wanted.Name != "" && p.Name != wanted.Name || wanted.Name == "" && p.Port != wanted.Number {
			continue
		}
		if !found || p.Protocol == corev1.ProtocolTCP {
			port, found = p, true
		}
	}
	return port, found
}

// httpOf is the first port of a Service that carries HTTP.
func (c *Controller) httpOf(svc *corev1.Service) (proxy.Destination, bool) {
	for _, p := range svc.Spec.Ports {
		to, mode, ok := c.Board.Port(svc.Namespace+"/"+svc.Name, traffic.PortName(p))
		if ok && mode == proxy.HTTP {
			return to, true
		}
	}
	return proxy.Destination{}, false
}
