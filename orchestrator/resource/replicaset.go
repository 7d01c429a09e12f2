package resource

import (
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func replicaSet() *Definition {
	return typed[*appsv1.ReplicaSet]{
		GVK:        appsv1.SchemeGroupVersion.WithKind("ReplicaSet"),
		Plural:     "replicasets",
		Singular:   "replicaset",
		ShortNames: []string{"rs"},
		Categories: []string{"all"},
		Namespaced: true,

		Default: func(rs *appsv1.ReplicaSet) {
			setDefaultPointer(&rs.Spec.Replicas, 1)
			defaultPodSpec(&rs.Spec.Template.Spec)
		},
		PrepareCreate: func(rs *appsv1.ReplicaSet) { rs.Status = appsv1.ReplicaSetStatus{} },
		PrepareUpdate: func(rs, old *appsv1.ReplicaSet) { rs.Status = old.Status },
		PrepareStatus: func(rs, old *appsv1.ReplicaSet) {
			rs.Spec = old.Spec
			metav1.ResetObjectMetaForStatus(&rs.ObjectMeta, &old.ObjectMeta)
		},
		SpecChanged: func(rs, old *appsv1.ReplicaSet) bool {
			return !apiequality.Semantic.DeepEqual(rs.Spec, old.Spec)
		},
		Validate:       validateReplicaSet,
		ValidateUpdate: validateReplicaSetUpdate,
		ValidateStatus: validateReplicaSetStatus,
		Warnings:       replicaSetWarnings,
		Ineffective:    replicaSetIneffective,
		Scale: func(rs *appsv1.ReplicaSet) *autoscalingv1.Scale {
			return scaleOf(&rs.ObjectMeta, rs.Spec.Replicas, rs.Status.Replicas, rs.Spec.Selector)
		},
		SetReplicas: func(rs *appsv1.ReplicaSet, replicas int32) { rs.Spec.Replicas = &replicas },
		Fields: func(rs *appsv1.ReplicaSet) fields.Set {
			return fields.Set{"status.replicas": strconv.Itoa(int(rs.Status.Replicas))}
		},
		Columns: replicaSetColumns,
		Row:     replicaSetRow,
	}.definition()
}

func validateReplicaSet(rs *appsv1.ReplicaSet) field.ErrorList {
	spec := &rs.Spec
	errs := validateMeta(rs, true, apivalidation.NameIsDNSSubdomain)
	return append(errs, validateReplicated(spec.Replicas, spec.MinReadySeconds, spec.Selector, &spec.Template, field.NewPath("spec"))...)
}

func validateReplicaSetUpdate(rs, old *appsv1.ReplicaSet) field.ErrorList {
	errs := validateMetaUpdate(rs, old)
	return append(errs, apivalidation.ValidateImmutableField(rs.Spec.Selector, old.Spec.Selector, field.NewPath("spec", "selector"))...)
}

func validateReplicaSetStatus(rs, old *appsv1.ReplicaSet) field.ErrorList {
	path, s := field.NewPath("status"), &rs.Status
	errs := validateMetaUpdate(rs, old)
	errs = append(errs, validateCounts(path, []count{
		{"replicas", int64(s.Replicas)},
		{"fullyLabeledReplicas", int64(s.FullyLabeledReplicas)},
		{"readyReplicas", int64(s.ReadyReplicas)},
		{"availableReplicas", int64(s.AvailableReplicas)},
		{"observedGeneration", s.ObservedGeneration},
	})...)
	errs = append(errs, validateAtMost(path, int64(s.Replicas), "status.replicas", []count{
		{"fullyLabeledReplicas", int64(s.FullyLabeledReplicas)},
		{"readyReplicas", int64(s.ReadyReplicas)},
		{"availableReplicas", int64(s.AvailableReplicas)},
	})...)
	return append(errs, validateAtMost(path, int64(s.ReadyReplicas), "readyReplicas", []count{
		{"availableReplicas", int64(s.AvailableReplicas)},
	})...)
}
