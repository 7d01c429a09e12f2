package resource

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func serviceAccount() *Definition {
	return typed[*corev1.ServiceAccount]{
		GVK:           corev1.SchemeGroupVersion.WithKind("ServiceAccount"),
		Plural:        "serviceaccounts",
		Singular:      "serviceaccount",
		ShortNames:    []string{"sa"},
		Namespaced:    true,
		PrepareCreate: cleanSecretReferences,
		PrepareUpdate: func(sa, _ *corev1.ServiceAccount) { cleanSecretReferences(sa) },
		Validate: func(sa *corev1.ServiceAccount) field.ErrorList {
			return validateMeta(sa, true, apivalidation.NameIsDNSSubdomain)
		},
		ValidateUpdate: func(sa, old *corev1.ServiceAccount) field.ErrorList {
			return validateMetaUpdate(sa, old)
		},
		Columns: []metav1.TableColumnDefinition{nameColumn(), ageColumn()},
		Row: func(sa *corev1.ServiceAccount) []any {
			return []any{sa.Name, age(sa.CreationTimestamp, time.Now())}
		},
	}.definition()
}

// cleanSecretReferences leaves only the names, all that a reference to a Secret
// of the same namespace means.
func cleanSecretReferences(sa *corev1.ServiceAccount) {
	for i := range sa.Secrets {
		sa.Secrets[i] = corev1.ObjectReference{Name: sa.Secrets[i].Name}
	}
}
