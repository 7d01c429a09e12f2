package resource

import (
	appsv1 "k8s.io/api/apps/v1"
)

func deployment() *Definition {
	return typed[*appsv1.Deployment]{
		GVK:        appsv1.SchemeGroupVersion.WithKind("Deployment"),
		Plural:     "deployments",
		Singular:   "deployment",
		ShortNames: []string{"deploy"},
		Categories: []string{"all"},
		Namespaced: true,
	}.definition()
}
