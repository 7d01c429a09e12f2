package resource

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validateFileVolume checks the sources that name objects of the API.
func validateFileVolume(s *corev1.VolumeSource, at *field.Path) field.ErrorList {
	switch {
	case s.ConfigMap != nil:
		return validateKeys(s.ConfigMap.Name, "name", s.ConfigMap.DefaultMode, s.ConfigMap.Items, at.Child("configMap"))
	case s.Secret != nil:
		return validateKeys(s.Secret.SecretName, "secretName", s.Secret.DefaultMode, s.Secret.Items, at.Child("secret"))
	case s.DownwardAPI != nil:
		at = at.Child("downwardAPI")
		errs := validateFileMode(s.DownwardAPI.DefaultMode, at.Child("defaultMode"))
		return append(errs, validateDownwardFiles(s.DownwardAPI.Items, at)...)
	case s.PersistentVolumeClaim != nil:
		if s.PersistentVolumeClaim.ClaimName == "" {
			return field.ErrorList{field.Required(at.Child("persistentVolumeClaim", "claimName"), "")}
		}
	case s.Ephemeral != nil:
		return validateEphemeral(s.Ephemeral, at.Child("ephemeral"))
	case s.Projected != nil:
		at = at.Child("projected")
		errs := validateFileMode(s.Projected.DefaultMode, at.Child("defaultMode"))
		return append(errs, validateProjections(s.Projected.Sources, at.Child("sources"))...)
	}
	return nil
}

func validateKeys(name, nameField string, mode *int32, items []corev1.KeyToPath, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if name == "" {
		errs = append(errs, field.Required(at.Child(nameField), ""))
	}
	errs = append(errs, validateFileMode(mode, at.Child("defaultMode"))...)
	for i, item := range items {
		at := at.Child("items").Index(i)
		if item.Key == "" {
			errs = append(errs, field.Required(at.Child("key"), ""))
		}
		errs = append(errs, validateFilePath(item.Path, at.Child("path"))...)
		errs = append(errs, validateFileMode(item.Mode, at.Child("mode"))...)
	}
	return errs
}

func validateFileMode(mode *int32, at *field.Path) field.ErrorList {
	if mode != nil && (*mode < 0 || *mode > 0o777) {
		return field.ErrorList{field.Invalid(at, *mode, "must be a number between 0 and 0777 (octal), both inclusive")}
	}
	return nil
}

// validateFilePath checks where in a volume a file is to be. Names that begin
// with two dots are those of the volume's own machinery.
func validateFilePath(p string, at *field.Path) field.ErrorList {
	if p == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	errs := validateDescendingPath(p, at)
	if strings.HasPrefix(p, "..") && !strings.HasPrefix(p, "../") {
		errs = append(errs, field.Invalid(at, p, "must not start with '..'"))
	}
	return errs
}

func validateDownwardFiles(files []corev1.DownwardAPIVolumeFile, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, f := range files {
		errs = append(errs, validateFilePath(f.Path, at.Child("path"))...)
		switch {
		case f.FieldRef != nil && f.ResourceFieldRef != nil:
			errs = append(errs, field.Invalid(at, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously"))
		case f.FieldRef != nil:
			errs = append(errs, validateVolumeFieldRef(f.FieldRef, at.Child("fieldRef"))...)
		case f.ResourceFieldRef != nil:
			errs = append(errs, validateVolumeResourceRef(f.ResourceFieldRef, at.Child("resourceFieldRef"))...)
		default:
			errs = append(errs, field.Required(at, "one of fieldRef and resourceFieldRef is required"))
		}
		errs = append(errs, validateFileMode(f.Mode, at.Child("mode"))...)
	}
	return errs
}

// shownFields are the fields of a Pod that a file can show, with those of
// labels and annotations by key.
var shownFields = sets.New("metadata.name", "metadata.namespace", "metadata.labels", "metadata.annotations", "metadata.uid")

func validateVolumeFieldRef(ref *corev1.ObjectFieldSelector, at *field.Path) field.ErrorList {
	switch {
	case ref.APIVersion == "":
		return field.ErrorList{field.Required(at.Child("apiVersion"), "")}
	case ref.FieldPath == "":
		return field.ErrorList{field.Required(at.Child("fieldPath"), "")}
	case ref.APIVersion != "v1":
		return field.ErrorList{field.Invalid(at.Child("apiVersion"), ref.APIVersion, `only "v1" is supported`)}
	}
	path, key, ok := strings.Cut(strings.TrimSuffix(ref.FieldPath, "']"), "['")
	switch {
	case ok && path == "metadata.annotations":
		return invalid(at, key, validation.IsQualifiedName(strings.ToLower(key)))
	case ok && path == "metadata.labels":
		return invalid(at, key, validation.IsQualifiedName(key))
	case !shownFields.Has(ref.FieldPath):
		return field.ErrorList{field.NotSupported(at.Child("fieldPath"), ref.FieldPath, sets.List(shownFields))}
	}
	return nil
}

// resourceDivisors are the units in which an amount can be shown.
var (
	cpuDivisors    = []string{"1", "1m"}
	byteDivisors   = []string{"1", "1E", "1Ei", "1G", "1Gi", "1K", "1Ki", "1M", "1Mi", "1P", "1Pi", "1T", "1Ti", "1k"}
	shownResources = []string{
		"limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage", "requests.memory",
	}
)

func validateVolumeResourceRef(ref *corev1.ResourceFieldSelector, at *field.Path) field.ErrorList {
	switch {
	case ref.ContainerName == "":
		return field.ErrorList{field.Required(at.Child("containerName"), "")}
	case ref.Resource == "":
		return field.ErrorList{field.Required(at.Child("resource"), "")}
	case !slices.Contains(shownResources, ref.Resource):
		return field.ErrorList{field.NotSupported(at.Child("resource"), ref.Resource, shownResources)}
	}
	divisors := byteDivisors
	if strings.HasSuffix(ref.Resource, ".cpu") {
		divisors = cpuDivisors
	}
	if d := ref.Divisor.String(); d != "0" && !slices.Contains(divisors, d) {
		return field.ErrorList{field.Invalid(at.Child("divisor"), d, fmt.Sprintf("only divisor's values %s are supported with the %s resource",
			strings.Join(divisors, ", "), ref.Resource))}
	}
	return nil
}

func validateProjections(sources []corev1.VolumeProjection, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	paths := sets.New[string]()
	for i := range sources {
		s, at := &sources[i], at.Index(i)
		switch n := setPointers(s); {
		case n == 0:
			errs = append(errs, field.Required(at, "must specify a volume projection type"))
			continue
		case n > 1:
			errs = append(errs, field.Forbidden(at, "may not specify more than 1 volume type"))
			continue
		}
		errs = append(errs, validateProjection(s, at)...)
		for _, p := range projectedPaths(s) {
			if paths.Has(p) {
				errs = append(errs, field.Invalid(at, p, "conflicting duplicate paths"))
			}
			paths.Insert(p)
		}
	}
	return errs
}

func validateProjection(s *corev1.VolumeProjection, at *field.Path) field.ErrorList {
	switch {
	case s.ConfigMap != nil:
		return validateKeys(s.ConfigMap.Name, "name", nil, s.ConfigMap.Items, at.Child("configMap"))
	case s.Secret != nil:
		return validateKeys(s.Secret.Name, "name", nil, s.Secret.Items, at.Child("secret"))
	case s.DownwardAPI != nil:
		return validateDownwardFiles(s.DownwardAPI.Items, at.Child("downwardAPI"))
	case s.ServiceAccountToken != nil:
		return validateTokenProjection(s.ServiceAccountToken, at.Child("serviceAccountToken"))
	}
	return nil // of a kind that podFields refuses
}

func validateTokenProjection(t *corev1.ServiceAccountTokenProjection, at *field.Path) field.ErrorList {
	errs := validateFilePath(t.Path, at.Child("path"))
	if s := t.ExpirationSeconds; s != nil {
		errs = append(errs, validateTokenLife(*s, at.Child("expirationSeconds"))...)
	}
	return errs
}

func validateTokenLife(seconds int64, at *field.Path) field.ErrorList {
	switch {
	case seconds < 10*60:
		return field.ErrorList{field.Invalid(at, seconds, "may not specify a duration less than 10 minutes")}
	case seconds > 1<<32:
		return field.ErrorList{field.Invalid(at, seconds, "may not specify a duration larger than 2^32 seconds")}
	}
	return nil
}

// projectedPaths are the files that a source is asked for by name.
func projectedPaths(s *corev1.VolumeProjection) []string {
	var items []corev1.KeyToPath
	var out []string
	switch {
	case s.ConfigMap != nil:
		items = s.ConfigMap.Items
	case s.Secret != nil:
		items = s.Secret.Items
	case s.DownwardAPI != nil:
		for _, f := range s.DownwardAPI.Items {
			out = append(out, f.Path)
		}
	case s.ServiceAccountToken != nil:
		out = append(out, s.ServiceAccountToken.Path)
	}
	for _, item := range items {
		out = append(out, item.Path)
	}
	return out
}
