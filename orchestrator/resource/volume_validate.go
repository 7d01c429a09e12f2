package resource

import (
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validateVolumes checks the volumes of a Pod spec and returns the names of
// the sound ones, which are those that containers may mount.
func validateVolumes(volumes []corev1.Volume, at *field.Path) (sets.Set[string], field.ErrorList) {
	var all field.ErrorList
	names := sets.New[string]()
	for i := range volumes {
		v := &volumes[i]
		errs := validateVolumeSource(&v.VolumeSource, at.Index(i))
		if v.Name == "" {
			errs = append(errs, field.Required(at.Index(i).Child("name"), ""))
		} else {
			errs = append(errs, validateDNSLabel(v.Name, at.Index(i).Child("name"))...)
		}
		if names.Has(v.Name) {
			errs = append(errs, field.Duplicate(at.Index(i).Child("name"), v.Name))
		}
		if len(errs) == 0 {
			names.Insert(v.Name)
		}
		all = append(all, errs...)
	}
	return names, all
}

// validateVolumeSource checks the sources that skiff has. The others are
// refused by podFields, whatever they say.
func validateVolumeSource(s *corev1.VolumeSource, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if dir := s.EmptyDir; dir != nil && dir.SizeLimit != nil && dir.SizeLimit.Cmp(resource.Quantity{}) < 0 {
		errs = append(errs, field.Forbidden(at.Child("emptyDir", "sizeLimit"), "SizeLimit field must be a valid resource quantity"))
	}
	switch sources := setPointers(s); {
	case sources == 0:
		errs = append(errs, field.Required(at, "must specify a volume type"))
	case s.HostPath != nil && s.EmptyDir != nil:
		errs = append(errs, field.Forbidden(at.Child("hostPath"), "may not specify more than 1 volume type"))
	case sources > 1:
		errs = append(errs, field.Forbidden(at, "may not specify more than 1 volume type"))
	case s.HostPath != nil:
		errs = append(errs, validateHostPath(s.HostPath, at.Child("hostPath"))...)
	default:
		errs = append(errs, validateFileVolume(s, at)...)
	}
	return errs
}

var hostPathTypes = []corev1.HostPathType{
	corev1.HostPathUnset, corev1.HostPathBlockDev, corev1.HostPathCharDev, corev1.HostPathDirectory,
	corev1.HostPathDirectoryOrCreate, corev1.HostPathFile, corev1.HostPathFileOrCreate, corev1.HostPathSocket,
}

func validateHostPath(h *corev1.HostPathVolumeSource, at *field.Path) field.ErrorList {
	if h.Path == "" {
		return field.ErrorList{field.Required(at.Child("path"), "")}
	}
	errs := validateNoBacksteps(h.Path, at.Child("path"))
	if !path.IsAbs(h.Path) {
		errs = append(errs, field.Invalid(at.Child("path"), h.Path, "must be an absolute path"))
	}
	if h.Type != nil && !slices.Contains(hostPathTypes, *h.Type) {
		errs = append(errs, field.NotSupported(at.Child("type"), *h.Type, hostPathTypes))
	}
	return errs
}

// validateDescendingPath checks a path that must stay below where it starts.
func validateDescendingPath(target string, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if path.IsAbs(target) {
		errs = append(errs, field.Invalid(at, target, "must be a relative path"))
	}
	return append(errs, validateNoBacksteps(target, at)...)
}

func validateNoBacksteps(target string, at *field.Path) field.ErrorList {
	if slices.Contains(strings.Split(target, "/"), "..") {
		return field.ErrorList{field.Invalid(at, target, "must not contain '..'")}
	}
	return nil
}
