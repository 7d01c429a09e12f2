package resource

import (
	"fmt"
	"math"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func validatePod(p *corev1.Pod) field.ErrorList {
	errs := validateMeta(p, true, apivalidation.NameIsDNSSubdomain)
	errs = append(errs, validatePodAnnotations(p.Annotations, field.NewPath("metadata", "annotations"))...)
	if p.ResourceVersion == "" && len(p.Spec.EphemeralContainers) > 0 {
		errs = append(errs, field.Forbidden(field.NewPath("spec", "ephemeralContainers"), "cannot be set on create"))
	}
	return append(errs, validatePodSpec(&p.Spec, field.NewPath("spec"))...)
}

// mutablePodFields completes the sentence that says what may change.
var mutablePodFields = []string{
	"`spec.containers[*].image`",
	"`spec.initContainers[*].image`",
	"`spec.activeDeadlineSeconds`",
	"`spec.tolerations` (only additions to existing tolerations)",
	"`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
}

// validatePodUpdate lets a Pod's author change the few fields of its spec that
// a running Pod can take over.
func validatePodUpdate(p, old *corev1.Pod) field.ErrorList {
	path := field.NewPath("spec")
	errs := validateMetaUpdate(p, old)
	if len(p.Spec.Containers) != len(old.Spec.Containers) {
		return append(errs, field.Forbidden(path.Child("containers"), "pod updates may not add or remove containers"))
	}
	if len(p.Spec.InitContainers) != len(old.Spec.InitContainers) {
		return append(errs, field.Forbidden(path.Child("initContainers"), "pod updates may not add or remove containers"))
	}
	errs = append(errs, validateDeadlineUpdate(p.Spec.ActiveDeadlineSeconds, old.Spec.ActiveDeadlineSeconds, path.Child("activeDeadlineSeconds"))...)
	errs = append(errs, validateTolerationsUpdate(p.Spec.Tolerations, old.Spec.Tolerations, path.Child("tolerations"))...)
	errs = append(errs, validateGatesUpdate(p.Spec.SchedulingGates, old.Spec.SchedulingGates, path.Child("schedulingGates"))...)
	rest := withoutMutable(&p.Spec, &old.Spec)
	if !apiequality.Semantic.DeepEqual(*rest, old.Spec) {
		errs = append(errs, field.Forbidden(path, fmt.Sprintf("pod updates may not change fields other than %s\n%v",
			strings.Join(mutablePodFields, ","), diff.Diff(old.Spec, *rest))))
	}
	return errs
}

// withoutMutable is spec with the old values of all that may change, so that
// any difference left is one that may not be.
func withoutMutable(spec, old *corev1.PodSpec) *corev1.PodSpec {
	rest := spec.DeepCopy()
	for i := range rest.Containers {
		rest.Containers[i].Image = old.Containers[i].Image
	}
	for i := range rest.InitContainers {
		rest.InitContainers[i].Image = old.InitContainers[i].Image
	}
	rest.ActiveDeadlineSeconds = old.ActiveDeadlineSeconds
	rest.Tolerations = old.Tolerations
	rest.SchedulingGates = old.SchedulingGates
	was, is := old.TerminationGracePeriodSeconds, rest.TerminationGracePeriodSeconds
	if was != nil && *was < 0 && is != nil && *is == 1 {
		rest.TerminationGracePeriodSeconds = was
	}
	return rest
}

// validateDeadlineUpdate lets a deadline be set and shortened.
func validateDeadlineUpdate(deadline, old *int64, path *field.Path) field.ErrorList {
	switch {
	case deadline == nil && old != nil:
		return field.ErrorList{field.Invalid(path, deadline, "must not update from a positive integer to nil value")}
	case deadline == nil:
		return nil
	case *deadline < 0 || *deadline > math.MaxInt32:
		return field.ErrorList{field.Invalid(path, *deadline, validation.InclusiveRangeError(0, math.MaxInt32))}
	case old != nil && *old < *deadline:
		return field.ErrorList{field.Invalid(path, *deadline, "must be less than or equal to previous value")}
	}
	return nil
}

// validateTolerationsUpdate lets tolerations be added, and those that exist
// last for another time.
func validateTolerationsUpdate(tolerations, old []corev1.Toleration, path *field.Path) field.ErrorList {
	for _, was := range old {
		kept := slices.ContainsFunc(tolerations, func(is corev1.Toleration) bool {
			is.TolerationSeconds = was.TolerationSeconds
			return apiequality.Semantic.DeepEqual(is, was)
		})
		if !kept {
			return field.ErrorList{field.Forbidden(path, "existing toleration can not be modified except its tolerationSeconds")}
		}
	}
	return nil
}

func validatePodStatus(p, old *corev1.Pod) field.ErrorList {
	path := field.NewPath("status")
	errs := validateMetaUpdate(p, old)
	errs = append(errs, validatePodAnnotations(p.Annotations, field.NewPath("metadata", "annotations"))...)
	for i, c := range p.Status.Conditions {
		errs = append(errs, invalid(path.Child("conditions").Index(i).Child("type"), c.Type, validation.IsQualifiedName(string(c.Type)))...)
	}
	errs = append(errs, apivalidation.ValidateImmutableField(p.Status.QOSClass, old.Status.QOSClass, path.Child("qosClass"))...)
	errs = append(errs, validateContainerStates(p.Status.ContainerStatuses, old.Status.ContainerStatuses,
		&old.Spec, path.Child("containerStatuses"))...)
	for i, ip := range p.Status.PodIPs {
		errs = append(errs, validation.IsValidIP(path.Child("podIPs").Index(i), ip.IP)...)
	}
	for i, ip := range p.Status.HostIPs {
		errs = append(errs, validation.IsValidIP(path.Child("hostIPs").Index(i), ip.IP)...)
	}
	return errs
}

// validateContainerStates sees to it that a container which the restart policy
// leaves ended stays so.
func validateContainerStates(states, old []corev1.ContainerStatus, spec *corev1.PodSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, was := range old {
		ended := was.State.Terminated
		of := slices.IndexFunc(spec.Containers, func(c corev1.Container) bool { return c.Name == was.Name })
		if ended == nil || of < 0 || Restarts(&spec.Containers[of], spec.RestartPolicy, ended.ExitCode) {
			continue
		}
		for _, is := range states {
			if is.Name == was.Name && is.State.Terminated == nil {
				errs = append(errs, field.Forbidden(path.Index(i).Child("state"), "may not be transitioned to non-terminated state"))
			}
		}
	}
	return errs
}
