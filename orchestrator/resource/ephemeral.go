package resource

import (
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// preparePodEphemeral lets the subresource add ephemeral containers and change
// nothing else.
func preparePodEphemeral(p, old *corev1.Pod) {
	added := p.Spec.EphemeralContainers
	*p = *old.DeepCopy()
	p.Spec.EphemeralContainers = added
}

func validatePodEphemeral(p, old *corev1.Pod) field.ErrorList {
	path := field.NewPath("spec")
	errs := validateEphemeralContainers(&p.Spec, path.Child("ephemeralContainers"))
	errs = append(errs, refuseUnsupported(&p.Spec, path)...)
	now := map[string]*corev1.EphemeralContainer{}
	for i := range p.Spec.EphemeralContainers {
		now[p.Spec.EphemeralContainers[i].Name] = &p.Spec.EphemeralContainers[i]
	}
	for i := range old.Spec.EphemeralContainers {
		was := &old.Spec.EphemeralContainers[i]
		switch is := now[was.Name]; {
		case is == nil:
			errs = append(errs, field.Forbidden(path.Child("ephemeralContainers"), "existing ephemeral containers \""+was.Name+"\" may not be removed\n"))
		case !apiequality.Semantic.DeepEqual(is, was):
			errs = append(errs, field.Forbidden(path.Child("ephemeralContainers"), "existing ephemeral containers \""+was.Name+"\" may not be changed\n"))
		}
	}
	return errs
}

// validateEphemeralContainers refuses what somebody who only looks has no use
// for.
func validateEphemeralContainers(spec *corev1.PodSpec, path *field.Path) field.ErrorList {
	volumes, names, targets := sets.New[string](), sets.New[string](), sets.New[string]()
	for _, v := range spec.Volumes {
		volumes.Insert(v.Name)
	}
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for _, c := range list {
			names.Insert(c.Name)
			targets.Insert(c.Name)
		}
	}
	var errs field.ErrorList
	for i := range spec.EphemeralContainers {
		e, at := &spec.EphemeralContainers[i], path.Index(i)
		c := (*corev1.Container)(&e.EphemeralContainerCommon)
		errs = append(errs, validateContainer(c, volumes, at)...)
		errs = append(errs, validateContainerSecurity(spec, c, at.Child("securityContext"))...)
		if names.Has(c.Name) {
			errs = append(errs, field.Duplicate(at.Child("name"), c.Name))
		}
		names.Insert(c.Name)
		if e.TargetContainerName != "" && !targets.Has(e.TargetContainerName) {
			errs = append(errs, field.NotFound(at.Child("targetContainerName"), e.TargetContainerName))
		}
		for _, f := range []struct {
			name string
			set  bool
		}{
			{"ports", len(c.Ports) > 0},
			{"livenessProbe", c.LivenessProbe != nil},
			{"readinessProbe", c.ReadinessProbe != nil},
			{"startupProbe", c.StartupProbe != nil},
			{"lifecycle", c.Lifecycle != nil},
			{"restartPolicy", c.RestartPolicy != nil},
			{"restartPolicyRules", len(c.RestartPolicyRules) > 0},
			{"resources", len(c.Resources.Limits)+len(c.Resources.Requests) > 0},
			{"resizePolicy", len(c.ResizePolicy) > 0},
		} {
			if f.set {
				errs = append(errs, field.Forbidden(at.Child(f.name), "field not allowed in ephemeral containers"))
			}
		}
		for j, m := range c.VolumeMounts {
			mount := at.Child("volumeMounts").Index(j)
			if m.SubPath != "" {
				errs = append(errs, field.Forbidden(mount.Child("subPath"), "cannot be set for an Ephemeral Container"))
			}
			if m.SubPathExpr != "" {
				errs = append(errs, field.Forbidden(mount.Child("subPathExpr"), "cannot be set for an Ephemeral Container"))
			}
		}
	}
	return errs
}
