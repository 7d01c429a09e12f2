package resource

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"
)

func validateIngressRules(in *networkingv1.Ingress) field.ErrorList {
	errs := validateMeta(in, true, apivalidation.NameIsDNSSubdomain)
	spec, path := &in.Spec, field.NewPath("spec")
	if len(spec.Rules) == 0 && spec.DefaultBackend == nil {
		errs = append(errs, field.Invalid(path, spec.Rules, "either `defaultBackend` or `rules` must be specified"))
	}
	if spec.DefaultBackend != nil {
		errs = append(errs, validateIngressBackend(spec.DefaultBackend, path.Child("defaultBackend"))...)
	}
	for i := range spec.Rules {
		errs = append(errs, validateIngressRule(&spec.Rules[i], path.Child("rules").Index(i))...)
	}
	for i := range spec.TLS {
		errs = append(errs, validateIngressTLS(&spec.TLS[i], path.Child("tls").Index(i))...)
	}
	if spec.IngressClassName != nil {
		errs = append(errs, invalid(path.Child("ingressClassName"), *spec.IngressClassName, apivalidation.NameIsDNSSubdomain(*spec.IngressClassName, false))...)
		if class, set := in.Annotations[classAnnotation]; set && class != *spec.IngressClassName {
			at := field.NewPath("annotations").Child(classAnnotation)
			errs = append(errs, field.Invalid(at, class, "must match `ingressClassName` when both are specified"))
		}
	}
	return errs
}

func validateIngressRule(rule *networkingv1.IngressRule, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if rule.Host != "" {
		if netutils.ParseIPSloppy(rule.Host) != nil {
			errs = append(errs, field.Invalid(path.Child("host"), rule.Host, "must be a DNS name, not an IP address"))
		}
		errs = append(errs, validateHostPattern(rule.Host, path.Child("host"))...)
	}
	if rule.HTTP == nil {
		return errs
	}
	paths := path.Child("http", "paths")
	if len(rule.HTTP.Paths) == 0 {
		errs = append(errs, field.Required(paths, ""))
	}
	for i := range rule.HTTP.Paths {
		errs = append(errs, validateIngressPath(&rule.HTTP.Paths[i], paths.Index(i))...)
	}
	return errs
}

func validateHostPattern(host string, path *field.Path) field.ErrorList {
	if strings.Contains(host, "*") {
		return invalid(path, host, validation.IsWildcardDNS1123Subdomain(host))
	}
	return invalid(path, host, validation.IsDNS1123Subdomain(host))
}

func validateIngressPath(p *networkingv1.HTTPIngressPath, path *field.Path) field.ErrorList {
	if p.PathType == nil {
		return field.ErrorList{field.Required(path.Child("pathType"), "pathType must be specified")}
	}
	var errs field.ErrorList
	at := path.Child("path")
	refuse := func(format string, args ...any) {
		errs = append(errs, field.Invalid(at, p.Path, fmt.Sprintf(format, args...)))
	}
	switch *p.PathType {
	case networkingv1.PathTypeExact, networkingv1.PathTypePrefix:
		if !strings.HasPrefix(p.Path, "/") {
			refuse("must be an absolute path")
		}
		for _, sequence := range []string{"//", "/./", "/../", "%2f", "%2F"} {
			if strings.Contains(p.Path, sequence) {
				refuse("must not contain '%s'", sequence)
			}
		}
		for _, suffix := range []string{"/..", "/."} {
			if strings.HasSuffix(p.Path, suffix) {
				refuse("cannot end with '%s'", suffix)
			}
		}
	case networkingv1.PathTypeImplementationSpecific:
		if p.Path != "" && !strings.HasPrefix(p.Path, "/") {
			refuse("must be an absolute path")
		}
	default:
		errs = append(errs, field.NotSupported(path.Child("pathType"), *p.PathType, []networkingv1.PathType{
			networkingv1.PathTypeExact, networkingv1.PathTypeImplementationSpecific, networkingv1.PathTypePrefix,
		}))
	}
	return append(errs, validateIngressBackend(&p.Backend, path.Child("backend"))...)
}

func validateIngressBackend(b *networkingv1.IngressBackend, path *field.Path) field.ErrorList {
	switch {
	case b.Resource != nil && b.Service != nil:
		return field.ErrorList{field.Invalid(path, "", "cannot set both resource and service backends")}
	case b.Resource != nil:
		return validateReference(b.Resource, path.Child("resource"))
	case b.Service == nil:
		return field.ErrorList{field.Invalid(path, "", "resource or service backend is required")}
	}
	var errs field.ErrorList
	name, port := path.Child("service", "name"), path.Child("service", "port")
	if b.Service.Name == "" {
		errs = append(errs, field.Required(name, ""))
	} else {
		errs = append(errs, invalid(name, b.Service.Name, apivalidation.NameIsDNS1035Label(b.Service.Name, false))...)
	}
	switch to := b.Service.Port; {
	case to.Name != "" && to.Number != 0:
		errs = append(errs, field.Invalid(path, "", "cannot set both port name & port number"))
	case to.Name != "":
		errs = append(errs, invalid(port.Child("name"), to.Name, validation.IsValidPortName(to.Name))...)
	case to.Number != 0:
		errs = append(errs, invalid(port.Child("number"), to.Number, validation.IsValidPortNum(int(to.Number)))...)
	default:
		errs = append(errs, field.Required(path, "port name or number is required"))
	}
	return errs
}

func validateReference(r *corev1.TypedLocalObjectReference, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if r.APIGroup != nil {
		errs = append(errs, invalid(path.Child("apiGroup"), *r.APIGroup, validation.IsDNS1123Subdomain(*r.APIGroup))...)
	}
	for _, part := range []struct{ field, value string }{{"kind", r.Kind}, {"name", r.Name}} {
		if part.value == "" {
			errs = append(errs, field.Required(path.Child(part.field), part.field+" is required"))
		} else {
			errs = append(errs, invalid(path.Child(part.field), part.value, content.IsPathSegmentName(part.value))...)
		}
	}
	return errs
}

func validateIngressTLS(tls *networkingv1.IngressTLS, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, host := range tls.Hosts {
		errs = append(errs, validateHostPattern(host, path.Child("hosts").Index(i))...)
	}
	if tls.SecretName != "" {
		errs = append(errs, invalid(path.Child("secretName"), tls.SecretName, apivalidation.NameIsDNSSubdomain(tls.SecretName, false))...)
	}
	return errs
}

func validateIngressStatus(in, old *networkingv1.Ingress) field.ErrorList {
	errs := validateMetaUpdate(in, old)
	points := field.NewPath("status", "loadBalancer", "ingress")
	for i, p := range in.Status.LoadBalancer.Ingress {
		at := points.Index(i)
		if p.IP != "" {
			errs = append(errs, validation.IsValidIP(at.Child("ip"), p.IP)...)
		}
		if p.Hostname != "" {
			errs = append(errs, invalid(at.Child("hostname"), p.Hostname, validation.IsDNS1123Subdomain(p.Hostname))...)
			if netutils.ParseIPSloppy(p.Hostname) != nil {
				errs = append(errs, field.Invalid(at.Child("hostname"), p.Hostname, "must be a DNS name, not an IP address"))
			}
		}
	}
	return errs
}
