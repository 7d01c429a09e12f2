package resource

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

// classAnnotation named the class before there was a field for it, and still
// does for manifests of that time.
const classAnnotation = "kubernetes.io/ingress.class"

func ingress() *Definition {
	return typed[*networkingv1.Ingress]{
		GVK:           networkingv1.SchemeGroupVersion.WithKind("Ingress"),
		Plural:        "ingresses",
		Singular:      "ingress",
		ShortNames:    []string{"ing"},
		Namespaced:    true,
		PrepareCreate: func(in *networkingv1.Ingress) { in.Status = networkingv1.IngressStatus{} },
		Admit:         admitIngress,
		PrepareUpdate: func(in, old *networkingv1.Ingress) { in.Status = *old.Status.DeepCopy() },
		PrepareStatus: func(in, old *networkingv1.Ingress) { in.Spec = old.Spec },
		SpecChanged: func(in, old *networkingv1.Ingress) bool {
			return !apiequality.Semantic.DeepEqual(in.Spec, old.Spec)
		},
		Validate: validateIngressRules,
		ValidateUpdate: func(in, old *networkingv1.Ingress) field.ErrorList {
			return validateMetaUpdate(in, old)
		},
		ValidateStatus: validateIngressStatus,
		Warnings:       ingressWarnings,
		Columns: []metav1.TableColumnDefinition{
			nameColumn(),
			column("Class", "string", "The name of the IngressClass resource that should be used for additional configuration"),
			column("Hosts", "string", "Hosts that incoming requests are matched against before the ingress rule"),
			column("Address", "string", "Address is a list containing ingress points for the load-balancer"),
			column("Ports", "string", "Ports of TLS configurations that open"),
			ageColumn(),
		},
		Row: ingressRow,
	}.definition()
}

// admitIngress gives an Ingress that names no class the default one.
func admitIngress(in *networkingv1.Ingress, look Lookup) error {
	if _, named := in.Annotations[classAnnotation]; named || in.Spec.IngressClassName != nil {
		return nil
	}
	obj, err := look(networkingv1.SchemeGroupVersion.WithResource("ingressclasses"), "", IngressClassName)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if obj.(*networkingv1.IngressClass).Annotations[networkingv1.AnnotationIsDefaultIngressClass] == "true" {
		in.Spec.IngressClassName = ptr.To(IngressClassName)
	}
	return nil
}

// IngressClassOf is the class that an Ingress names, or empty.
func IngressClassOf(in *networkingv1.Ingress) string {
	return cmp.Or(ptr.Deref(in.Spec.IngressClassName, ""), in.Annotations[classAnnotation])
}

func ingressRow(in *networkingv1.Ingress) []any {
	ports := "80"
	if len(in.Spec.TLS) > 0 {
		ports = "80, 443"
	}
	return []any{
		in.Name, cmp.Or(ptr.Deref(in.Spec.IngressClassName, ""), "<none>"), ingressHosts(in.Spec.Rules),
		ingressAddress(in.Status.LoadBalancer), ports, age(in.CreationTimestamp, time.Now()),
	}
}

// ingressHosts are at most three, and how many more.
func ingressHosts(rules []networkingv1.IngressRule) string {
	const shown = 3
	var hosts []string
	for _, rule := range rules {
		if rule.Host != "" {
			hosts = append(hosts, rule.Host)
		}
	}
	switch {
	case len(hosts) == 0:
		return "*"
	case len(hosts) > shown:
		return fmt.Sprintf("%s + %d more...", strings.Join(hosts[:shown], ","), len(hosts)-shown)
	}
	return strings.Join(hosts, ",")
}

func ingressAddress(status networkingv1.IngressLoadBalancerStatus) string {
	const shown = 16
	var at []string
	for _, point := range status.Ingress {
		if address := cmp.Or(point.IP, point.Hostname); address != "" {
			at = append(at, address)
		}
	}
	slices.Sort(at)
	all := strings.Join(slices.Compact(at), ",")
	if len(all) > shown {
		return all[:shown-3] + "..."
	}
	return all
}

// ingressWarnings names what has no effect here, so that nobody looks for it in
// the answers.
func ingressWarnings(in, old *networkingv1.Ingress) []string {
	var warnings []string
	if _, named := in.Annotations[classAnnotation]; named && (old == nil || old.Annotations[classAnnotation] != in.Annotations[classAnnotation]) {
		warnings = append(warnings, fmt.Sprintf("metadata.annotations[%s]: deprecated; use spec.ingressClassName instead", classAnnotation))
	}
	if class := IngressClassOf(in); class != "" && class != IngressClassName && (old == nil || IngressClassOf(old) != class) {
		// Whether that class exists may change at any time.
		path := "spec.ingressClassName"
		if in.Spec.IngressClassName == nil {
			path = fmt.Sprintf("metadata.annotations[%s]", classAnnotation)
		}
		warnings = append(warnings, fmt.Sprintf("%s: %q is served only where an IngressClass of that name has the controller %s; leave it out to be served by skiff",
			path, class, IngressController))
	}
	if old == nil || !apiequality.Semantic.DeepEqual(in.Annotations, old.Annotations) {
		warnings = append(warnings, warnControllerAnnotations(in.Annotations)...)
	}
	if old != nil && apiequality.Semantic.DeepEqual(in.Spec, old.Spec) {
		return warnings
	}
	for _, b := range ingressBackends(&in.Spec) {
		if b.Backend.Resource != nil {
			warnings = append(warnings, fmt.Sprintf("%s: has no effect in skiff, requests there are answered with 503", b.Path.Child("resource")))
		}
	}
	return warnings
}

// redirectAnnotations are those of ingress-nginx that send who comes without TLS
// to HTTPS. It does so by default as well; skiff, whose certificates need to be
// trusted first, where one of them says so.
var redirectAnnotations = []string{"nginx.ingress.kubernetes.io/ssl-redirect", "nginx.ingress.kubernetes.io/force-ssl-redirect"}

// RedirectsToTLS says whether who asks without TLS for a host that has it is
// told to come back with it.
func RedirectsToTLS(in *networkingv1.Ingress) bool {
	return slices.ContainsFunc(redirectAnnotations, func(key string) bool {
		wanted, err := strconv.ParseBool(in.Annotations[key])
		return err == nil && wanted
	})
}

// warnControllerAnnotations names the settings of other Ingress controllers.
func warnControllerAnnotations(annotations map[string]string) []string {
	var warnings []string
	for key := range annotations {
		if slices.Contains(redirectAnnotations, key) {
			continue
		}
		prefix, _, _ := strings.Cut(key, "/")
		if strings.HasSuffix(prefix, "ingress.kubernetes.io") || strings.HasSuffix(prefix, "traefik.io") || strings.HasSuffix(prefix, "haproxy.org") {
			warnings = append(warnings, fmt.Sprintf("metadata.annotations[%s]: has no effect in skiff, it is for another Ingress controller", key))
		}
	}
	slices.Sort(warnings)
	return warnings
}

// placedBackend is a back end, and the field that names it.
type placedBackend struct {
	Path    *field.Path
	Backend *networkingv1.IngressBackend
}

// ingressBackends are all back ends that an Ingress names.
func ingressBackends(spec *networkingv1.IngressSpec) []placedBackend {
	var all []placedBackend
	path := field.NewPath("spec")
	if spec.DefaultBackend != nil {
		all = append(all, placedBackend{path.Child("defaultBackend"), spec.DefaultBackend})
	}
	for i := range spec.Rules {
		if http := spec.Rules[i].HTTP; http != nil {
			for j := range http.Paths {
				at := path.Child("rules").Index(i).Child("http", "paths").Index(j).Child("backend")
				all = append(all, placedBackend{at, &http.Paths[j].Backend})
			}
		}
	}
	return all
}
