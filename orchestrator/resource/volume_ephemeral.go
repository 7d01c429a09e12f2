package resource

import (
	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ClaimOf is the claim that a Pod's volume is: one that somebody has made, or one
// that is made for the Pod and goes with it; nil for a volume of another kind.
func ClaimOf(pod *corev1.Pod, v *corev1.Volume) *corev1.PersistentVolumeClaimVolumeSource {
	if v.Ephemeral != nil {
		return &corev1.PersistentVolumeClaimVolumeSource{ClaimName: pod.Name + "-" + v.Name}
	}
	return v.PersistentVolumeClaim
}

// validateEphemeral checks what podFields lets a claim's template have.
func validateEphemeral(e *corev1.EphemeralVolumeSource, at *field.Path) field.ErrorList {
	at = at.Child("volumeClaimTemplate")
	template := e.VolumeClaimTemplate
	if template == nil {
		return field.ErrorList{field.Required(at, "")}
	}
	errs := apivalidation.ValidateAnnotations(template.Annotations, at.Child("metadata", "annotations"))
	errs = append(errs, metav1validation.ValidateLabels(template.Labels, at.Child("metadata", "labels"))...)
	return append(errs, validateClaimSpec(&template.Spec, at.Child("spec"))...)
}
