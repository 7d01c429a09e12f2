package resource

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
	componentresource "k8s.io/component-helpers/resource"
)

// requestWhole fills what a Pod requests as a whole, where it says something of
// the whole: as much as its containers together, or up to its limit where none of
// them requests anything.
func requestWhole(spec *corev1.PodSpec) {
	whole := spec.Resources
	if whole == nil || len(whole.Limits) == 0 {
		return
	}
	if whole.Requests == nil {
		whole.Requests = corev1.ResourceList{}
	}
	for _, list := range []corev1.ResourceList{aggregate(spec, componentresource.AggregateContainerRequests), whole.Limits} {
		for name, quantity := range list {
			if _, ok := whole.Requests[name]; !ok && componentresource.IsSupportedPodLevelResource(name) {
				whole.Requests[name] = quantity.DeepCopy()
			}
		}
	}
}

// aggregate is what a Pod's containers request, or may take, at the same time.
func aggregate(spec *corev1.PodSpec, of func(*corev1.Pod, componentresource.PodResourcesOptions) corev1.ResourceList) corev1.ResourceList {
	return of(&corev1.Pod{Spec: *spec}, componentresource.PodResourcesOptions{})
}

// validateWhole checks what the Pod with the spec at path requests and is limited
// to as a whole.
func validateWhole(spec *corev1.PodSpec, path *field.Path) field.ErrorList {
	whole, at := spec.Resources, path.Child("resources")
	if whole == nil {
		return nil
	}
	errs := validateWholeNames(whole.Limits, at.Child("limits"))
	errs = append(errs, validateWholeNames(whole.Requests, at.Child("requests"))...)
	if len(errs) > 0 {
		return errs
	}
	errs = validateRequirements(whole, at)
	asked := aggregate(spec, componentresource.AggregateContainerRequests)
	for _, name := range slices.Sorted(maps.Keys(whole.Requests)) {
		if least, request := asked[name], whole.Requests[name]; request.Cmp(least) < 0 {
			errs = append(errs, field.Invalid(at.Child("requests").Key(string(name)), request.String(),
				fmt.Sprintf("must be greater than or equal to aggregate container requests of %s", least.String())))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(whole.Limits)) {
		errs = append(errs, validateWholeLimit(spec, name, path)...)
	}
	return errs
}

func validateWholeNames(list corev1.ResourceList, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, name := range slices.Sorted(maps.Keys(list)) {
		if !componentresource.IsSupportedPodLevelResource(name) {
			errs = append(errs, field.NotSupported(path, name, sets.List(componentresource.SupportedPodLevelResources())))
		}
	}
	return errs
}

// validateWholeLimit refuses a limit that would not hold: the engine limits each
// container on its own. One that runs alone gets the Pod's limit.
func validateWholeLimit(spec *corev1.PodSpec, name corev1.ResourceName, path *field.Path) field.ErrorList {
	limit, unlimited := spec.Resources.Limits[name], false
	for _, list := range []struct {
		field string
		of    []corev1.Container
	}{{"initContainers", spec.InitContainers}, {"containers", spec.Containers}} {
		for i, c := range list.of {
			own, limited := c.Resources.Limits[name]
			if limited && own.Cmp(limit) > 0 {
				at := path.Child(list.field).Index(i).Child("resources", "limits").Key(string(name))
				return field.ErrorList{field.Invalid(at, own.String(), fmt.Sprintf("must be less than or equal to pod limits of %s", limit.String()))}
			}
			unlimited = unlimited || !limited
		}
	}
	alone := len(spec.Containers) == 1 && !slices.ContainsFunc(spec.InitContainers, IsSidecar)
	together := aggregate(spec, componentresource.AggregateContainerLimits)[name]
	if alone || !unlimited && together.Cmp(limit) <= 0 {
		return nil
	}
	return field.ErrorList{field.Forbidden(path.Child("resources", "limits").Key(string(name)),
		"not supported by skiff for containers that run side by side, unless each has a limit and together they stay within this one: "+
			"the Docker Engine limits single containers")}
}

// IsSidecar says whether an init container runs for as long as its Pod does.
func IsSidecar(c corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}
