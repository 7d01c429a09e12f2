package resource

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func namespace() *Definition {
	return typed[*corev1.Namespace]{
		GVK:           corev1.SchemeGroupVersion.WithKind("Namespace"),
		Plural:        "namespaces",
		Singular:      "namespace",
		ShortNames:    []string{"ns"},
		Verbs:         []string{"create", "delete", "get", "list", "patch", "update", "watch"},
		Default:       defaultNamespace,
		PrepareCreate: prepareNamespace,
		PrepareUpdate: func(ns, old *corev1.Namespace) {
			ns.Spec.Finalizers, ns.Status = old.Spec.Finalizers, old.Status
		},
		PrepareStatus:  func(ns, old *corev1.Namespace) { ns.Spec = old.Spec },
		Validate:       validateNamespace,
		ValidateUpdate: func(ns, old *corev1.Namespace) field.ErrorList { return validateMetaUpdate(ns, old) },
		ValidateStatus: validateNamespaceStatus,
		Fields: func(ns *corev1.Namespace) fields.Set {
			return fields.Set{"status.phase": string(ns.Status.Phase), "name": ns.Name}
		},
		Columns: []metav1.TableColumnDefinition{
			nameColumn(),
			column("Status", "string", "The status of the namespace"),
			ageColumn(),
		},
		Row: func(ns *corev1.Namespace) []any {
			return []any{ns.Name, string(ns.Status.Phase), age(ns.CreationTimestamp, time.Now())}
		},
	}.definition()
}

func defaultNamespace(ns *corev1.Namespace) {
	// A generated name is not there yet when defaults are applied;
	// prepareNamespace comes after it.
	if ns.Name == "" {
		return
	}
	if ns.Labels == nil {
		ns.Labels = map[string]string{}
	}
	ns.Labels[corev1.LabelMetadataName] = ns.Name
}

func prepareNamespace(ns *corev1.Namespace) {
	defaultNamespace(ns)
	ns.Status = corev1.NamespaceStatus{Phase: corev1.NamespaceActive}
	if !slices.Contains(ns.Spec.Finalizers, corev1.FinalizerKubernetes) {
		ns.Spec.Finalizers = append(ns.Spec.Finalizers, corev1.FinalizerKubernetes)
	}
}

func validateNamespace(ns *corev1.Namespace) field.ErrorList {
	errs := validateMeta(ns, false, apivalidation.ValidateNamespaceName)
	path := field.NewPath("spec", "finalizers")
	for _, f := range ns.Spec.Finalizers {
		errs = append(errs, apivalidation.ValidateFinalizerName(string(f), path)...)
		errs = append(errs, validateFinalizerOwner(string(f), path)...)
	}
	return errs
}

func validateNamespaceStatus(ns, old *corev1.Namespace) field.ErrorList {
	errs := validateMetaUpdate(ns, old)
	path := field.NewPath("status", "Phase")
	deleting := !ns.DeletionTimestamp.IsZero()
	switch {
	case !deleting && ns.Status.Phase != corev1.NamespaceActive:
		errs = append(errs, field.Invalid(path, ns.Status.Phase, "may only be 'Active' if `deletionTimestamp` is empty"))
	case deleting && ns.Status.Phase != corev1.NamespaceTerminating:
		errs = append(errs, field.Invalid(path, ns.Status.Phase, "may only be 'Terminating' if `deletionTimestamp` is not empty"))
	}
	return errs
}
