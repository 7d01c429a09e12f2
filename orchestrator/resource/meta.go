package resource

import (
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validateMeta checks the metadata of an object of either scope.
func validateMeta(meta metav1.Object, namespaced bool, name apivalidation.ValidateNameFunc) field.ErrorList {
	return apivalidation.ValidateObjectMetaAccessor(meta, namespaced, name, field.NewPath("metadata"))
}

// validateMetaUpdate checks what may not change in the metadata of any object.
func validateMetaUpdate(meta, old metav1.Object) field.ErrorList {
	return apivalidation.ValidateObjectMetaAccessorUpdate(meta, old, field.NewPath("metadata"))
}
