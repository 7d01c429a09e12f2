package resource

import (
	appsv1 "k8s.io/api/apps/v1"
)

func replicaSet() *Definition {
	return typed[*appsv1.ReplicaSet]{
		GVK:        appsv1.SchemeGroupVersion.WithKind("ReplicaSet"),
		Plural:     "replicasets",
		Singular:   "replicaset",
		ShortNames: []string{"rs"},
		Categories: []string{"all"},
		Namespaced: true,
	}.definition()
}
