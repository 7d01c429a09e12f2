package resource

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

const (
	// StorageClass is the one class of storage, which claims get by default.
	StorageClass = "standard"
	// VolumeDriver marks the PersistentVolumes that stand for the engine's.
	VolumeDriver = "volumes.skiff.dev"
	// ClaimProtection and VolumeProtection keep what is still used.
	ClaimProtection  = "kubernetes.io/pvc-protection"
	VolumeProtection = "kubernetes.io/pv-protection"
)

// VolumeName is what the claim's volume is called, in the API and, within the
// instance, in the engine.
func VolumeName(c *corev1.PersistentVolumeClaim) string { return "pvc-" + string(c.UID) }

func persistentVolumeClaim() *Definition {
	return typed[*corev1.PersistentVolumeClaim]{
		GVK:            corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim"),
		Plural:         "persistentvolumeclaims",
		Singular:       "persistentvolumeclaim",
		ShortNames:     []string{"pvc"},
		Namespaced:     true,
		Default:        defaultClaim,
		PrepareCreate:  prepareClaim,
		PrepareUpdate:  func(c, old *corev1.PersistentVolumeClaim) { c.Status = old.Status },
		PrepareStatus:  func(c, old *corev1.PersistentVolumeClaim) { c.Spec = old.Spec },
		Validate:       validateClaim,
		ValidateUpdate: validateClaimUpdate,
		ValidateStatus: func(c, old *corev1.PersistentVolumeClaim) field.ErrorList { return validateMetaUpdate(c, old) },
		Warnings:       claimWarnings,
		Columns: []metav1.TableColumnDefinition{
			nameColumn(),
			column("Status", "string", corev1.PersistentVolumeClaimStatus{}.SwaggerDoc()["phase"]),
			column("Volume", "string", corev1.PersistentVolumeClaimSpec{}.SwaggerDoc()["volumeName"]),
			column("Capacity", "string", corev1.PersistentVolumeClaimStatus{}.SwaggerDoc()["capacity"]),
			column("Access Modes", "string", corev1.PersistentVolumeClaimStatus{}.SwaggerDoc()["accessModes"]),
			column("StorageClass", "string", "StorageClass of the pvc"),
			column("VolumeAttributesClass", "string", "VolumeAttributesClass of the pvc"),
			ageColumn(),
			wideColumn("VolumeMode", "string", corev1.PersistentVolumeClaimSpec{}.SwaggerDoc()["volumeMode"]),
		},
		Row: claimRow,
	}.definition()
}

func defaultClaim(c *corev1.PersistentVolumeClaim) {
	setDefaultPointer(&c.Spec.VolumeMode, corev1.PersistentVolumeFilesystem)
	roundUp(c.Spec.Resources.Limits)
	roundUp(c.Spec.Resources.Requests)
}

// prepareClaim sets what the admission controllers of a cluster set.
func prepareClaim(c *corev1.PersistentVolumeClaim) {
	c.Status = corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending}
	if old, ok := c.Annotations[corev1.BetaStorageClassAnnotation]; ok {
		setDefaultPointer(&c.Spec.StorageClassName, old)
	}
	setDefaultPointer(&c.Spec.StorageClassName, StorageClass)
	if !slices.Contains(c.Finalizers, ClaimProtection) {
		c.Finalizers = append(c.Finalizers, ClaimProtection)
	}
}

// claimWarnings speaks up where a claim, as on a cluster without that class, will
// not be bound.
func claimWarnings(c, old *corev1.PersistentVolumeClaim) []string {
	class := ptr.Deref(c.Spec.StorageClassName, StorageClass)
	if old != nil || class == StorageClass {
		return nil
	}
	return []string{fmt.Sprintf("spec.storageClassName: there is no class %q, so that the claim stays Pending; leave it out to get a volume", class)}
}

func validateClaim(c *corev1.PersistentVolumeClaim) field.ErrorList {
	errs := validateMeta(c, true, apivalidation.NameIsDNSSubdomain)
	path := field.NewPath("spec")
	errs = append(errs, validateClaimSpec(&c.Spec, path)...)
	return append(errs, refuseClaimFields(c, path)...)
}

// validateClaimSpec checks what a claim asks for.
func validateClaimSpec(spec *corev1.PersistentVolumeClaimSpec, path *field.Path) field.ErrorList {
	errs := validateAccessModes(spec.AccessModes, path.Child("accessModes"))
	storage := path.Child("resources").Key(string(corev1.ResourceStorage))
	if size, ok := spec.Resources.Requests[corev1.ResourceStorage]; !ok {
		errs = append(errs, field.Required(storage, ""))
	} else if size.Sign() <= 0 {
		errs = append(errs, field.Invalid(storage, size.String(), "must be greater than zero"))
	}
	if class := spec.StorageClassName; class != nil && *class != "" {
		errs = append(errs, invalid(path.Child("storageClassName"), *class, apivalidation.NameIsDNSSubdomain(*class, false))...)
	}
	return errs
}

// Why a claim cannot ask for some things.
const (
	ownVolume    = "each claim gets a volume of its own"
	noDevices    = "there are no block devices"
	emptyAtFirst = "volumes begin empty"
	noAttributes = "volumes have no attributes"
)

// refuseClaimFields names what cannot be honoured.
func refuseClaimFields(c *corev1.PersistentVolumeClaim, path *field.Path) field.ErrorList {
	spec := &c.Spec
	var errs field.ErrorList
	for _, f := range []struct {
		name string
		set  bool
		why  string
	}{
		{"selector", spec.Selector != nil, ownVolume},
		{"volumeName", spec.VolumeName != "" && spec.VolumeName != VolumeName(c), ownVolume},
		{"volumeMode", ptr.Deref(spec.VolumeMode, corev1.PersistentVolumeFilesystem) != corev1.PersistentVolumeFilesystem, noDevices},
		{"dataSource", spec.DataSource != nil, emptyAtFirst},
		{"dataSourceRef", spec.DataSourceRef != nil, emptyAtFirst},
		{"volumeAttributesClassName", spec.VolumeAttributesClassName != nil, noAttributes},
	} {
		if f.set {
			errs = append(errs, field.Forbidden(path.Child(f.name), "not supported by skiff: "+f.why))
		}
	}
	return errs
}

var accessModes = []corev1.PersistentVolumeAccessMode{
	corev1.ReadOnlyMany, corev1.ReadWriteMany, corev1.ReadWriteOnce, corev1.ReadWriteOncePod,
}

func validateAccessModes(modes []corev1.PersistentVolumeAccessMode, path *field.Path) field.ErrorList {
	if len(modes) == 0 {
		return field.ErrorList{field.Required(path, "at least 1 access mode is required")}
	}
	var errs field.ErrorList
	for _, mode := range modes {
		errs = append(errs, validateOneOf(mode, path, accessModes...)...)
	}
	if len(modes) > 1 && slices.Contains(modes, corev1.ReadWriteOncePod) {
		errs = append(errs, field.Forbidden(path, "may not use ReadWriteOncePod with other access modes"))
	}
	return errs
}

// ForOnePod says whether only one Pod may use the claim at a time.
func ForOnePod(c *corev1.PersistentVolumeClaim) bool {
	return slices.Contains(c.Spec.AccessModes, corev1.ReadWriteOncePod)
}

// validateClaimUpdate lets a claim be bound, and ask for more.
func validateClaimUpdate(c, old *corev1.PersistentVolumeClaim) field.ErrorList {
	errs := validateMetaUpdate(c, old)
	rest := c.Spec.DeepCopy()
	rest.Resources.Requests = old.Spec.Resources.Requests
	if old.Spec.VolumeName == "" {
		rest.VolumeName = ""
	}
	if !apiequality.Semantic.DeepEqual(*rest, old.Spec) {
		errs = append(errs, field.Forbidden(field.NewPath("spec"),
			"spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"))
	}
	size, was := c.Spec.Resources.Requests[corev1.ResourceStorage], old.Status.Capacity[corev1.ResourceStorage]
	if size.Cmp(was) < 0 {
		errs = append(errs, field.Forbidden(field.NewPath("spec", "resources", "requests", "storage"), "field can not be less than status.capacity"))
	}
	return errs
}

func claimRow(c *corev1.PersistentVolumeClaim) []any {
	phase, capacity, modes := string(c.Status.Phase), "", ""
	if c.DeletionTimestamp != nil {
		phase = "Terminating"
	}
	if c.Spec.VolumeName != "" {
		size := c.Status.Capacity[corev1.ResourceStorage]
		capacity, modes = size.String(), shortModes(c.Status.AccessModes)
	}
	return []any{
		c.Name, phase, c.Spec.VolumeName, capacity, modes, ptr.Deref(c.Spec.StorageClassName, ""), "<unset>",
		age(c.CreationTimestamp, time.Now()), string(ptr.Deref(c.Spec.VolumeMode, "<unset>")),
	}
}

// shortModes are access modes as kubectl prints them: each once, in an order of
// its own.
func shortModes(modes []corev1.PersistentVolumeAccessMode) string {
	var out []string
	for _, m := range []struct {
		mode  corev1.PersistentVolumeAccessMode
		short string
	}{
		{corev1.ReadWriteOnce, "RWO"}, {corev1.ReadOnlyMany, "ROX"}, {corev1.ReadWriteMany, "RWX"}, {corev1.ReadWriteOncePod, "RWOP"},
	} {
		if slices.Contains(modes, m.mode) {
			out = append(out, m.short)
		}
	}
	return strings.Join(out, ",")
}
