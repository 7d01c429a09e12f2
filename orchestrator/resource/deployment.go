package resource

import (
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func deployment() *Definition {
	return typed[*appsv1.Deployment]{
		GVK:        appsv1.SchemeGroupVersion.WithKind("Deployment"),
		Plural:     "deployments",
		Singular:   "deployment",
		ShortNames: []string{"deploy"},
		Categories: []string{"all"},
		Namespaced: true,

		Default:       defaultDeployment,
		PrepareCreate: func(d *appsv1.Deployment) { d.Status = appsv1.DeploymentStatus{} },
		PrepareUpdate: func(d, old *appsv1.Deployment) { d.Status = old.Status },
		PrepareStatus: func(d, old *appsv1.Deployment) {
			// The revision is an annotation, which the controller writes
			// together with the status that belongs to it.
			annotations := d.Annotations
			d.Spec = old.Spec
			metav1.ResetObjectMetaForStatus(&d.ObjectMeta, &old.ObjectMeta)
			d.Annotations = annotations
		},
		SpecChanged:    deploymentChanged,
		Validate:       validateDeployment,
		ValidateUpdate: validateDeploymentUpdate,
		ValidateStatus: validateDeploymentStatus,
		Warnings:       deploymentWarnings,
		Ineffective:    deploymentIneffective,
		Scale: func(d *appsv1.Deployment) *autoscalingv1.Scale {
			return scaleOf(&d.ObjectMeta, d.Spec.Replicas, d.Status.Replicas, d.Spec.Selector)
		},
		SetReplicas: func(d *appsv1.Deployment, replicas int32) { d.Spec.Replicas = &replicas },
		Columns:     deploymentColumns,
		Row:         deploymentRow,
	}.definition()
}

func defaultDeployment(d *appsv1.Deployment) {
	setDefaultPointer(&d.Spec.Replicas, 1)
	setDefaultPointer(&d.Spec.RevisionHistoryLimit, 10)
	setDefaultPointer(&d.Spec.ProgressDeadlineSeconds, 600)
	strategy := &d.Spec.Strategy
	setDefault(&strategy.Type, appsv1.RollingUpdateDeploymentStrategyType)
	if strategy.Type == appsv1.RollingUpdateDeploymentStrategyType {
		setDefaultPointer(&strategy.RollingUpdate, appsv1.RollingUpdateDeployment{})
		setDefaultPointer(&strategy.RollingUpdate.MaxUnavailable, intstr.FromString("25%"))
		setDefaultPointer(&strategy.RollingUpdate.MaxSurge, intstr.FromString("25%"))
	}
	defaultPodSpec(&d.Spec.Template.Spec)
}

// deploymentChanged counts annotations in, because the controller copies them
// to the ReplicaSets.
func deploymentChanged(d, old *appsv1.Deployment) bool {
	return !apiequality.Semantic.DeepEqual(d.Spec, old.Spec) ||
		!apiequality.Semantic.DeepEqual(d.Annotations, old.Annotations)
}

func validateDeployment(d *appsv1.Deployment) field.ErrorList {
	path, spec := field.NewPath("spec"), &d.Spec
	errs := validateMeta(d, true, apivalidation.NameIsDNSSubdomain)
	errs = append(errs, validateReplicated(spec.Replicas, spec.MinReadySeconds, spec.Selector, &spec.Template, path)...)
	errs = append(errs, validateStrategy(&spec.Strategy, path.Child("strategy"))...)
	if limit := spec.RevisionHistoryLimit; limit != nil {
		errs = append(errs, apivalidation.ValidateNonnegativeField(int64(*limit), path.Child("revisionHistoryLimit"))...)
	}
	if deadline := spec.ProgressDeadlineSeconds; deadline != nil {
		at := path.Child("progressDeadlineSeconds")
		errs = append(errs, apivalidation.ValidateNonnegativeField(int64(*deadline), at)...)
		if *deadline <= spec.MinReadySeconds {
			errs = append(errs, field.Invalid(at, *deadline, "must be greater than minReadySeconds"))
		}
	}
	return errs
}

func validateDeploymentUpdate(d, old *appsv1.Deployment) field.ErrorList {
	errs := validateMetaUpdate(d, old)
	return append(errs, apivalidation.ValidateImmutableField(d.Spec.Selector, old.Spec.Selector, field.NewPath("spec", "selector"))...)
}

func validateDeploymentStatus(d, old *appsv1.Deployment) field.ErrorList {
	path, s := field.NewPath("status"), &d.Status
	errs := validateMetaUpdate(d, old)
	errs = append(errs, validateCounts(path, []count{
		{"observedGeneration", s.ObservedGeneration},
		{"replicas", int64(s.Replicas)},
		{"updatedReplicas", int64(s.UpdatedReplicas)},
		{"readyReplicas", int64(s.ReadyReplicas)},
		{"availableReplicas", int64(s.AvailableReplicas)},
		{"unavailableReplicas", int64(s.UnavailableReplicas)},
	})...)
	errs = append(errs, validateAtMost(path, int64(s.Replicas), "status.replicas", []count{
		{"updatedReplicas", int64(s.UpdatedReplicas)},
		{"readyReplicas", int64(s.ReadyReplicas)},
		{"availableReplicas", int64(s.AvailableReplicas)},
	})...)
	errs = append(errs, validateAtMost(path, int64(s.ReadyReplicas), "readyReplicas", []count{
		{"availableReplicas", int64(s.AvailableReplicas)},
	})...)
	if was := old.Status.CollisionCount; was != nil && (s.CollisionCount == nil || *s.CollisionCount < *was) {
		errs = append(errs, field.Invalid(path.Child("collisionCount"), s.CollisionCount, "cannot be decremented"))
	}
	return errs
}
