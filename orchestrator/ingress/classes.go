package ingress

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"

	"skiff/orchestrator/resource"
)

// classes finds an IngressClass by its name; nil: there is none.
type classes func(name string) *networkingv1.IngressClass

// of is the class of an Ingress, nil where that does not exist. The API gives one
// that names none the default one, but only when it is made: the name may have
// been taken out since, or the class have come later.
func (find classes) of(in *networkingv1.Ingress) *networkingv1.IngressClass {
	if name := resource.IngressClassOf(in); name != "" {
		return find(name)
	}
	if class := find(resource.IngressClassName); class != nil && class.Annotations[networkingv1.AnnotationIsDefaultIngressClass] == "true" {
		return class
	}
	return nil
}

func (find classes) serve(in *networkingv1.Ingress) bool {
	class := find.of(in)
	return class != nil && class.Spec.Controller == resource.IngressController
}

// unserved is an Ingress of a class that is not served here, and why.
type unserved struct {
	*networkingv1.Ingress
	why     string
	nobodys bool // its class does not exist: no other controller serves it either
}

func (find classes) unserved(in *networkingv1.Ingress) unserved {
	name := resource.IngressClassOf(in)
	switch class := find.of(in); {
	case class != nil:
		return unserved{in, fmt.Sprintf("its IngressClass %q has the controller %s", class.Name, class.Spec.Controller), false}
	case name == "":
		return unserved{in, fmt.Sprintf("it names no IngressClass, and %q is not the default one", resource.IngressClassName), true}
	default:
		return unserved{in, fmt.Sprintf("there is no IngressClass %q", name), true}
	}
}

// problem is what there is to say of it, and what to do.
func (u unserved) problem() problem {
	remedy := fmt.Sprintf("name the class %q", resource.IngressClassName)
	if name := resource.IngressClassOf(u.Ingress); name != "" {
		remedy += fmt.Sprintf(", or create %q with the controller %s", name, resource.IngressController)
	}
	return problem{"NoIngressClass", fmt.Sprintf("not served: %s; %s", u.why, remedy)}
}

// unservedRules lead nowhere: they are what would be served.
func unservedRules(all []unserved) []rule {
	var rules []rule
	for _, u := range all {
		nowhere := target{reason: fmt.Sprintf("Ingress %s/%s is not served by skiff: %s", u.Namespace, u.Name, u.why)}
		set := ruleSet{resolve: func(string, *networkingv1.IngressBackend) target { return nowhere }}
		set.ingresses([]*networkingv1.Ingress{u.Ingress})
		rules = append(rules, set.rules...)
	}
	return rules
}
