package resource

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validateMeta checks the metadata of an object of either scope.
func validateMeta(meta metav1.Object, namespaced bool, name apivalidation.ValidateNameFunc) field.ErrorList {
	path := field.NewPath("metadata")
	errs := apivalidation.ValidateObjectMetaAccessor(meta, namespaced, name, path)
	for i, f := range meta.GetFinalizers() {
		errs = append(errs, validateFinalizerOwner(f, path.Child("finalizers").Index(i))...)
	}
	return errs
}

// validateFinalizerOwner wants a finalizer to say whose it is, unless it is one
// of Kubernetes' own: a misspelt one would hold the object for ever.
func validateFinalizerOwner(name string, path *field.Path) field.ErrorList {
	switch name {
	case string(corev1.FinalizerKubernetes), metav1.FinalizerOrphanDependents, metav1.FinalizerDeleteDependents:
		return nil
	}
	if strings.Contains(name, "/") {
		return nil
	}
	return field.ErrorList{field.Invalid(path, name, "name is neither a standard finalizer name nor is it fully qualified")}
}

// validateMetaUpdate checks what may not change in the metadata of any object.
func validateMetaUpdate(meta, old metav1.Object) field.ErrorList {
	return apivalidation.ValidateObjectMetaAccessorUpdate(meta, old, field.NewPath("metadata"))
}
