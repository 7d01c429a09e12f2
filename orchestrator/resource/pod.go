package resource

import (
	corev1 "k8s.io/api/core/v1"
)

func pod() *Definition {
	return typed[*corev1.Pod]{
		GVK:        corev1.SchemeGroupVersion.WithKind("Pod"),
		Plural:     "pods",
		Singular:   "pod",
		ShortNames: []string{"po"},
		Categories: []string{"all"},
		Namespaced: true,
	}.definition()
}
