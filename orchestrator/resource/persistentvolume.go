package resource

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

func persistentVolume() *Definition {
	return typed[*corev1.PersistentVolume]{
		GVK:            corev1.SchemeGroupVersion.WithKind("PersistentVolume"),
		Plural:         "persistentvolumes",
		Singular:       "persistentvolume",
		ShortNames:     []string{"pv"},
		PrepareCreate:  prepareVolume,
		PrepareUpdate:  func(v, old *corev1.PersistentVolume) { v.Status = old.Status },
		PrepareStatus:  func(v, old *corev1.PersistentVolume) { v.Spec = old.Spec },
		Validate:       validateVolume,
		ValidateUpdate: validateVolumeUpdate,
		ValidateStatus: func(v, old *corev1.PersistentVolume) field.ErrorList { return validateMetaUpdate(v, old) },
		Columns: []metav1.TableColumnDefinition{
			nameColumn(),
			column("Capacity", "string", corev1.PersistentVolumeSpec{}.SwaggerDoc()["capacity"]),
			column("Access Modes", "string", corev1.PersistentVolumeSpec{}.SwaggerDoc()["accessModes"]),
			column("Reclaim Policy", "string", corev1.PersistentVolumeSpec{}.SwaggerDoc()["persistentVolumeReclaimPolicy"]),
			column("Status", "string", corev1.PersistentVolumeStatus{}.SwaggerDoc()["phase"]),
			column("Claim", "string", corev1.PersistentVolumeSpec{}.SwaggerDoc()["claimRef"]),
			column("StorageClass", "string", "StorageClass of the pv"),
			column("VolumeAttributesClass", "string", "VolumeAttributesClass of the pv"),
			column("Reason", "string", corev1.PersistentVolumeStatus{}.SwaggerDoc()["reason"]),
			ageColumn(),
			wideColumn("VolumeMode", "string", corev1.PersistentVolumeSpec{}.SwaggerDoc()["volumeMode"]),
		},
		Row: volumeRow,
	}.definition()
}

func prepareVolume(v *corev1.PersistentVolume) {
	v.Status = corev1.PersistentVolumeStatus{Phase: corev1.VolumePending}
	if !slices.Contains(v.Finalizers, VolumeProtection) {
		v.Finalizers = append(v.Finalizers, VolumeProtection)
	}
}

// validateVolume lets only those be that skiff makes: others would stand for
// storage that it does not have.
func validateVolume(v *corev1.PersistentVolume) field.ErrorList {
	errs := validateMeta(v, false, apivalidation.NameIsDNSSubdomain)
	path := field.NewPath("spec")
	if v.Spec.CSI == nil || v.Spec.CSI.Driver != VolumeDriver || v.Spec.ClaimRef == nil {
		return append(errs, field.Forbidden(path, "not supported by skiff: it makes a volume for each PersistentVolumeClaim"))
	}
	return append(errs, validateOneOf(v.Spec.PersistentVolumeReclaimPolicy, path.Child("persistentVolumeReclaimPolicy"),
		corev1.PersistentVolumeReclaimDelete, corev1.PersistentVolumeReclaimRetain)...)
}

func validateVolumeUpdate(v, old *corev1.PersistentVolume) field.ErrorList {
	errs := validateMetaUpdate(v, old)
	rest := v.Spec.DeepCopy()
	rest.PersistentVolumeReclaimPolicy = old.Spec.PersistentVolumeReclaimPolicy
	if !apiequality.Semantic.DeepEqual(*rest, old.Spec) {
		errs = append(errs, field.Forbidden(field.NewPath("spec"), "only persistentVolumeReclaimPolicy may change"))
	}
	return errs
}

func volumeRow(v *corev1.PersistentVolume) []any {
	phase, claim := string(v.Status.Phase), ""
	if v.DeletionTimestamp != nil {
		phase = "Terminating"
	}
	if ref := v.Spec.ClaimRef; ref != nil {
		claim = ref.Namespace + "/" + ref.Name
	}
	size := v.Spec.Capacity[corev1.ResourceStorage]
	return []any{
		v.Name, size.String(), shortModes(v.Spec.AccessModes), string(v.Spec.PersistentVolumeReclaimPolicy), phase, claim,
		v.Spec.StorageClassName, "<unset>", v.Status.Reason, age(v.CreationTimestamp, time.Now()), string(ptr.Deref(v.Spec.VolumeMode, "<unset>")),
	}
}
