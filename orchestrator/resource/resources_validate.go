package resource

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validateResources checks what a Pod and its containers request and are limited
// to.
func validateResources(spec *corev1.PodSpec, path *field.Path) field.ErrorList {
	errs := validateWhole(spec, path)
	for _, list := range []struct {
		name       string
		containers []corev1.Container
	}{{"initContainers", spec.InitContainers}, {"containers", spec.Containers}} {
		for i := range list.containers {
			c, at := &list.containers[i], path.Child(list.name).Index(i)
			errs = append(errs, validateRequirements(&c.Resources, at.Child("resources"))...)
			errs = append(errs, validateResizePolicy(c.ResizePolicy, at.Child("resizePolicy"))...)
		}
	}
	return errs
}

// leastMemory is the lowest limit with which the engine creates a container.
const leastMemory = 6 << 20

func validateRequirements(r *corev1.ResourceRequirements, path *field.Path) field.ErrorList {
	errs := validateQuantities(r.Limits, path.Child("limits"))
	errs = append(errs, validateQuantities(r.Requests, path.Child("requests"))...)
	if limit := r.Limits.Memory(); limit.Sign() > 0 && limit.Value() < leastMemory {
		errs = append(errs, field.Invalid(path.Child("limits").Key(string(corev1.ResourceMemory)), limit.String(), "must be at least 6Mi, the Docker Engine's minimum"))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Requests)) {
		request := r.Requests[name]
		limit, limited := r.Limits[name]
		switch {
		case isHugePages(name) && !limited:
			errs = append(errs, field.Required(path.Child("limits"), "Limit must be set for non overcommitable resources"))
		case isHugePages(name) && request.Cmp(limit) != 0:
			errs = append(errs, field.Invalid(path.Child("requests"), request.String(), fmt.Sprintf("must be equal to %s limit of %s", name, limit.String())))
		case limited && request.Cmp(limit) > 0:
			errs = append(errs, field.Invalid(path.Child("requests"), request.String(),
				fmt.Sprintf("must be less than or equal to %s limit of %s", name, limit.String())))
		}
	}
	if hasHugePages(r) && !hasOrdinary(r) {
		errs = append(errs, field.Forbidden(path, "HugePages require cpu or memory"))
	}
	return errs
}

func isHugePages(name corev1.ResourceName) bool {
	return strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
}

func hasHugePages(r *corev1.ResourceRequirements) bool {
	return slices.ContainsFunc(slices.Concat(slices.Collect(maps.Keys(r.Limits)), slices.Collect(maps.Keys(r.Requests))), isHugePages)
}

// hasOrdinary says whether processor or memory is asked for or limited.
func hasOrdinary(r *corev1.ResourceRequirements) bool {
	for _, list := range []corev1.ResourceList{r.Limits, r.Requests} {
		for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			if _, ok := list[name]; ok {
				return true
			}
		}
	}
	return false
}

func validateQuantities(list corev1.ResourceList, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, name := range slices.Sorted(maps.Keys(list)) {
		quantity, at := list[name], path.Key(string(name))
		errs = append(errs, validateResourceName(string(name), at)...)
		if quantity.Sign() < 0 {
			errs = append(errs, field.Invalid(at, quantity.String(), apivalidation.IsNegativeErrorMsg))
		}
	}
	return errs
}

// standardResources may be named without a domain.
var standardResources = []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage}

func validateResourceName(name string, path *field.Path) field.ErrorList {
	if msgs := validation.IsQualifiedName(name); len(msgs) > 0 {
		return invalid(path, name, msgs)
	}
	standard := slices.Contains(standardResources, corev1.ResourceName(name)) || isHugePages(corev1.ResourceName(name))
	if !standard && !strings.Contains(name, "/") {
		return field.ErrorList{field.Invalid(path, name, "must be a standard resource for containers")}
	}
	return nil
}

func validateResizePolicy(policies []corev1.ContainerResizePolicy, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := map[corev1.ResourceName]bool{}
	for i, p := range policies {
		at := path.Index(i)
		if seen[p.ResourceName] {
			errs = append(errs, field.Duplicate(at, p.ResourceName))
		}
		seen[p.ResourceName] = true
		errs = append(errs, validateOneOf(p.ResourceName, at.Child("resourceName"), corev1.ResourceCPU, corev1.ResourceMemory)...)
		errs = append(errs, validateOneOf(p.RestartPolicy, at.Child("restartPolicy"), corev1.NotRequired, corev1.RestartContainer)...)
	}
	return errs
}
