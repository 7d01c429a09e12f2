package resource

import (
	"math"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validatePodSpec checks the spec of a Pod or of a template: what Kubernetes
// refuses, and then what skiff cannot honour.
func validatePodSpec(spec *corev1.PodSpec, path *field.Path) field.ErrorList {
	grace := spec.TerminationGracePeriodSeconds
	var errs field.ErrorList
	if grace == nil {
		errs = append(errs, field.Required(path.Child("terminationGracePeriodSeconds"), ""))
	}
	volumes, volumeErrs := validateVolumes(spec.Volumes, path.Child("volumes"))
	errs = append(errs, volumeErrs...)
	if len(spec.Containers) == 0 {
		errs = append(errs, field.Required(path.Child("containers"), ""))
	}
	names := sets.New[string]()
	errs = append(errs, validateContainers(spec.Containers, volumes, names, grace, path.Child("containers"))...)
	errs = append(errs, validateContainers(spec.InitContainers, volumes, names, grace, path.Child("initContainers"))...)
	errs = append(errs, validateInitContainers(spec.InitContainers, path.Child("initContainers"))...)
	errs = append(errs, validateOneOf(spec.RestartPolicy, path.Child("restartPolicy"),
		corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever)...)
	errs = append(errs, validateOneOf(spec.DNSPolicy, path.Child("dnsPolicy"),
		corev1.DNSClusterFirstWithHostNet, corev1.DNSClusterFirst, corev1.DNSDefault, corev1.DNSNone)...)
	for i, gate := range spec.ReadinessGates {
		errs = append(errs, invalid(path.Child("readinessGates").Index(i).Child("conditionType"), gate.ConditionType, validation.IsQualifiedName(string(gate.ConditionType)))...)
	}
	errs = append(errs, validateNames(spec, path)...)
	errs = append(errs, validateLookups(spec, path)...)
	errs = append(errs, validateShares(spec, path)...)
	errs = append(errs, validateHostPorts(spec, path)...)
	errs = append(errs, validateScheduling(spec, path)...)
	if d := spec.ActiveDeadlineSeconds; d != nil && (*d < 1 || *d > math.MaxInt32) {
		errs = append(errs, field.Invalid(path.Child("activeDeadlineSeconds"), *d, validation.InclusiveRangeError(1, math.MaxInt32)))
	}
	errs = append(errs, validateResources(spec, path)...)
	errs = append(errs, validateSecurity(spec, path)...)
	return append(errs, refuseUnsupported(spec, path)...)
}

// validateNames checks the names that a Pod spec gives or refers to.
func validateNames(spec *corev1.PodSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	subdomains := []struct{ field, value string }{
		{"serviceAccountName", spec.ServiceAccountName},
		{"priorityClassName", spec.PriorityClassName},
	}
	for _, n := range subdomains {
		if n.value != "" {
			errs = append(errs, invalid(path.Child(n.field), n.value, apivalidation.NameIsDNSSubdomain(n.value, false))...)
		}
	}
	for _, n := range []struct{ field, value string }{{"hostname", spec.Hostname}, {"subdomain", spec.Subdomain}} {
		if n.value != "" {
			errs = append(errs, validateDNSLabel(n.value, path.Child(n.field))...)
		}
	}
	if spec.NodeName != "" && spec.NodeName != NodeName {
		errs = append(errs, field.NotSupported(path.Child("nodeName"), spec.NodeName, []string{NodeName}))
	}
	return errs
}

// validatePodTemplate checks a Pod template as part of the object at path.
func validatePodTemplate(template *corev1.PodTemplateSpec, path *field.Path) field.ErrorList {
	errs := metav1validation.ValidateLabels(template.Labels, path.Child("labels"))
	errs = append(errs, apivalidation.ValidateAnnotations(template.Annotations, path.Child("annotations"))...)
	errs = append(errs, validatePodAnnotations(template.Annotations, path.Child("annotations"))...)
	errs = append(errs, validatePodSpec(&template.Spec, path.Child("spec"))...)
	if len(template.Spec.EphemeralContainers) > 0 {
		errs = append(errs, field.Forbidden(path.Child("spec", "ephemeralContainers"), "ephemeral containers not allowed in pod template"))
	}
	return errs
}

// validatePodAnnotations checks the annotations of a Pod that are read as
// settings.
func validatePodAnnotations(annotations map[string]string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if cost, ok := annotations[corev1.PodDeletionCost]; ok {
		if _, err := strconv.ParseInt(cost, 10, 32); err != nil {
			errs = append(errs, field.Invalid(path.Key(corev1.PodDeletionCost), cost, "must be a 32bit integer"))
		}
	}
	return append(errs, validateDrain(annotations, path)...)
}
