package resource

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

// The class that every instance has, and what serves it and every other class
// that names it.
const (
	IngressClassName  = "skiff"
	IngressController = "skiff.dev/ingress"
)

const maxController = 250

func ingressClass() *Definition {
	return typed[*networkingv1.IngressClass]{
		GVK:      networkingv1.SchemeGroupVersion.WithKind("IngressClass"),
		Plural:   "ingressclasses",
		Singular: "ingressclass",
		Default:  defaultIngressClass,
		SpecChanged: func(c, old *networkingv1.IngressClass) bool {
			return !apiequality.Semantic.DeepEqual(c.Spec, old.Spec)
		},
		Validate: validateIngressClass,
		ValidateUpdate: func(c, old *networkingv1.IngressClass) field.ErrorList {
			errs := validateMetaUpdate(c, old)
			return append(errs, apivalidation.ValidateImmutableField(c.Spec.Controller, old.Spec.Controller, field.NewPath("spec", "controller"))...)
		},
		Warnings: func(c, _ *networkingv1.IngressClass) []string {
			if c.Spec.Controller == IngressController && c.Spec.Parameters != nil {
				return []string{"spec.parameters: has no effect in skiff, whose Ingress controller has none"}
			}
			return nil
		},
		Columns: []metav1.TableColumnDefinition{
			nameColumn(),
			column("Controller", "string", "Controller that is responsible for handling this class"),
			column("Parameters", "string", "A reference to a resource with additional parameters"),
			ageColumn(),
		},
		Row: func(c *networkingv1.IngressClass) []any {
			parameters := "<none>"
			if p := c.Spec.Parameters; p != nil {
				parameters = p.Kind
				if p.APIGroup != nil {
					parameters += "." + *p.APIGroup
				}
				parameters += "/" + p.Name
			}
			return []any{c.Name, c.Spec.Controller, parameters, age(c.CreationTimestamp, time.Now())}
		},
	}.definition()
}

func defaultIngressClass(c *networkingv1.IngressClass) {
	if p := c.Spec.Parameters; p != nil && p.Scope == nil {
		p.Scope = ptr.To(networkingv1.IngressClassParametersReferenceScopeCluster)
	}
}

func validateIngressClass(c *networkingv1.IngressClass) field.ErrorList {
	errs := validateMeta(c, false, apivalidation.NameIsDNSSubdomain)
	path := field.NewPath("spec", "controller")
	if len(c.Spec.Controller) > maxController {
		errs = append(errs, field.TooLong(path, "", maxController))
	}
	errs = append(errs, validation.IsDomainPrefixedPath(path, c.Spec.Controller)...)
	if c.Spec.Parameters != nil {
		errs = append(errs, validateParameters(c.Spec.Parameters, field.NewPath("spec", "parameters"))...)
	}
	return errs
}

func validateParameters(p *networkingv1.IngressClassParametersReference, path *field.Path) field.ErrorList {
	const cluster, namespaced = networkingv1.IngressClassParametersReferenceScopeCluster, networkingv1.IngressClassParametersReferenceScopeNamespace
	errs := validateReference(&corev1.TypedLocalObjectReference{APIGroup: p.APIGroup, Kind: p.Kind, Name: p.Name}, path)
	namespace := path.Child("namespace")
	switch scope := ptr.Deref(p.Scope, ""); {
	case scope == cluster && p.Namespace != nil:
		errs = append(errs, field.Forbidden(namespace, "`parameters.scope` is set to 'Cluster'"))
	case scope == namespaced && p.Namespace == nil:
		errs = append(errs, field.Required(namespace, "`parameters.scope` is set to 'Namespace'"))
	case scope == namespaced:
		errs = append(errs, invalid(namespace, *p.Namespace, apivalidation.ValidateNamespaceName(*p.Namespace, false))...)
	default:
		errs = append(errs, validateOneOf(scope, path.Child("scope"), cluster, namespaced)...)
	}
	return errs
}
