package resource

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubectl/pkg/util/fieldpath"
)

func validateEnv(env []corev1.EnvVar, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, v := range env {
		at := path.Index(i)
		if v.Name == "" {
			errs = append(errs, field.Required(at.Child("name"), ""))
		} else {
			errs = append(errs, invalid(at.Child("name"), v.Name, validation.IsRelaxedEnvVarName(v.Name))...)
		}
		if v.ValueFrom != nil {
			errs = append(errs, validateEnvSource(v, at.Child("valueFrom"))...)
		}
	}
	return errs
}

// validateEnvSource checks that a variable has one source, and that source.
func validateEnvSource(v corev1.EnvVar, path *field.Path) field.ErrorList {
	sources := setPointers(v.ValueFrom)
	switch {
	case sources == 0:
		return field.ErrorList{field.Invalid(path, "",
			"must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`")}
	case v.Value != "":
		return field.ErrorList{field.Invalid(path, "", "may not be specified when `value` is not empty")}
	case sources > 1:
		return field.ErrorList{field.Invalid(path, "", "may not have more than one field specified at a time")}
	}
	switch from := v.ValueFrom; {
	case from.FieldRef != nil:
		return validateFieldRef(from.FieldRef, envFields, path.Child("fieldRef"))
	case from.ResourceFieldRef != nil:
		return validateResourceFieldRef(from.ResourceFieldRef, path.Child("resourceFieldRef"))
	case from.ConfigMapKeyRef != nil:
		return validateKeyRef(from.ConfigMapKeyRef.Name, from.ConfigMapKeyRef.Key, path.Child("configMapKeyRef"))
	case from.SecretKeyRef != nil:
		return validateKeyRef(from.SecretKeyRef.Name, from.SecretKeyRef.Key, path.Child("secretKeyRef"))
	}
	return nil
}

func validateKeyRef(name, key string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if name == "" {
		errs = append(errs, field.Required(path.Child("name"), ""))
	}
	if key == "" {
		return append(errs, field.Required(path.Child("key"), ""))
	}
	return append(errs, invalid(path.Child("key"), key, validation.IsConfigMapKey(key))...)
}

// validateEnvFrom checks the ConfigMaps and Secrets that become variables as a
// whole.
func validateEnvFrom(list []corev1.EnvFromSource, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, from := range list {
		at := path.Index(i)
		if from.Prefix != "" {
			errs = append(errs, invalid(at.Child("prefix"), from.Prefix, validation.IsRelaxedEnvVarName(from.Prefix))...)
		}
		switch {
		case from.ConfigMapRef != nil && from.SecretRef != nil:
			errs = append(errs, field.Invalid(at, "", "may not have more than one field specified at a time"))
		case from.ConfigMapRef != nil && from.ConfigMapRef.Name == "":
			errs = append(errs, field.Required(at.Child("configMapRef", "name"), ""))
		case from.SecretRef != nil && from.SecretRef.Name == "":
			errs = append(errs, field.Required(at.Child("secretRef", "name"), ""))
		case from.ConfigMapRef == nil && from.SecretRef == nil:
			errs = append(errs, field.Invalid(at, "", "must specify one of: `configMapRef` or `secretRef`"))
		}
	}
	return errs
}

// envFields are the fields of a Pod that a variable can show, besides single
// labels and annotations.
var envFields = []string{
	"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
	"status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
}

func validateFieldRef(ref *corev1.ObjectFieldSelector, known []string, path *field.Path) field.ErrorList {
	at := path.Child("fieldPath")
	switch {
	case ref.APIVersion == "":
		return field.ErrorList{field.Required(path.Child("apiVersion"), "")}
	case ref.FieldPath == "":
		return field.ErrorList{field.Required(at, "")}
	case ref.APIVersion != "v1":
		return field.ErrorList{field.Invalid(at, ref.FieldPath, "error converting fieldPath: unsupported pod version: "+ref.APIVersion)}
	}
	name, subscript, subscripted := fieldpath.SplitMaybeSubscriptedPath(ref.FieldPath)
	switch {
	case !subscripted && !slices.Contains(known, name):
		return field.ErrorList{field.NotSupported(at, name, slices.Sorted(slices.Values(known)))}
	case !subscripted:
		return nil
	case name == "metadata.annotations":
		return invalid(at, ref.FieldPath, validation.IsQualifiedName(strings.ToLower(subscript)))
	case name == "metadata.labels":
		return invalid(at, ref.FieldPath, validation.IsQualifiedName(subscript))
	}
	return field.ErrorList{field.Invalid(at, name, "does not support subscript")}
}

// divisors are the units that the value of a resourceFieldRef can be told in.
var divisors = map[string][]string{
	"cpu":               {"1m", "1"},
	"memory":            {"1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"},
	"ephemeral-storage": {"1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"},
}

func validateResourceFieldRef(ref *corev1.ResourceFieldSelector, path *field.Path) field.ErrorList {
	if ref.Resource == "" {
		return field.ErrorList{field.Required(path.Child("resource"), "")}
	}
	of, name, _ := strings.Cut(ref.Resource, ".")
	units, known := divisors[name]
	if !known || of != "limits" && of != "requests" {
		return field.ErrorList{field.NotSupported(path.Child("resource"), ref.Resource, resourceFields())}
	}
	unset := resource.Quantity{}
	if ref.Divisor.Cmp(unset) == 0 || slices.Contains(units, ref.Divisor.String()) {
		return nil
	}
	list := strings.Join(units, ", ")
	if name == "cpu" {
		list = strings.Join(units, " and ")
	}
	what := strings.ReplaceAll(name, "ephemeral-storage", "local ephemeral storage")
	return field.ErrorList{field.Invalid(path.Child("divisor"), ref.Resource,
		fmt.Sprintf("only divisor's values %s are supported with the %s resource", list, what))}
}

func resourceFields() []string {
	var out []string
	for _, of := range []string{"limits", "requests"} {
		for _, name := range slices.Sorted(maps.Keys(divisors)) {
			out = append(out, of+"."+name)
		}
	}
	return out
}
