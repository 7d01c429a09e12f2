package resource

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Restarts says whether a container that has ended gets another attempt: by the
// first of its own rules that matches, by its own policy, or by its Pod's.
func Restarts(c *corev1.Container, pod corev1.RestartPolicy, exitCode int32) bool {
	policy := pod
	if c.RestartPolicy != nil {
		if restartRule(c, exitCode) != nil {
			return true // whatever it asks for
		}
		policy = corev1.RestartPolicy(*c.RestartPolicy)
	}
	switch policy {
	case corev1.RestartPolicyNever:
		return false
	case corev1.RestartPolicyOnFailure:
		return exitCode != 0
	}
	return true
}

// RestartsAll says whether a container that has ended has all containers of its
// Pod restarted with it: the first of its rules that matches asks for that.
func RestartsAll(c *corev1.Container, exitCode int32) bool {
	rule := restartRule(c, exitCode)
	return rule != nil && rule.Action == corev1.ContainerRestartRuleActionRestartAllContainers
}

// MayRestartAll says whether a container of the Pod has a rule that restarts all.
func MayRestartAll(spec *corev1.PodSpec) bool {
	return slices.ContainsFunc(slices.Concat(spec.InitContainers, spec.Containers), func(c corev1.Container) bool {
		return slices.ContainsFunc(c.RestartPolicyRules, func(r corev1.ContainerRestartRule) bool {
			return r.Action == corev1.ContainerRestartRuleActionRestartAllContainers
		})
	})
}

// restartRule is the first of a container's rules that matches; nil if none does.
func restartRule(c *corev1.Container, exitCode int32) *corev1.ContainerRestartRule {
	i := slices.IndexFunc(c.RestartPolicyRules, func(r corev1.ContainerRestartRule) bool { return matchesExit(r.ExitCodes, exitCode) })
	if i < 0 {
		return nil
	}
	return &c.RestartPolicyRules[i]
}

func matchesExit(on *corev1.ContainerRestartRuleOnExitCodes, exitCode int32) bool {
	if on == nil {
		return false
	}
	return slices.Contains(on.Values, exitCode) == (on.Operator == corev1.ContainerRestartRuleOnExitCodesOpIn)
}

const (
	mostRestartRules = 20
	mostExitCodes    = 255
)

// validateRestart checks a container's own restart policy.
func validateRestart(c *corev1.Container, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	rules := path.Child("restartPolicyRules")
	if c.RestartPolicy != nil {
		errs = append(errs, validateOneOf(*c.RestartPolicy, path.Child("restartPolicy"), corev1.ContainerRestartPolicyAlways,
			corev1.ContainerRestartPolicyNever, corev1.ContainerRestartPolicyOnFailure)...)
	} else if len(c.RestartPolicyRules) > 0 {
		errs = append(errs, field.Required(path.Child("restartPolicy"), "must specify restartPolicy when restart rules are used"))
	}
	if len(c.RestartPolicyRules) > mostRestartRules {
		errs = append(errs, field.TooMany(rules, len(c.RestartPolicyRules), mostRestartRules))
	}
	for i, rule := range c.RestartPolicyRules {
		at := rules.Index(i)
		errs = append(errs, validateOneOf(rule.Action, at.Child("action"), corev1.ContainerRestartRuleActionRestart,
			corev1.ContainerRestartRuleActionRestartAllContainers)...)
		if rule.ExitCodes == nil {
			errs = append(errs, field.Required(at.Child("exitCodes"), "must be specified"))
			continue
		}
		at = at.Child("exitCodes")
		errs = append(errs, validateOneOf(rule.ExitCodes.Operator, at.Child("operator"),
			corev1.ContainerRestartRuleOnExitCodesOpIn, corev1.ContainerRestartRuleOnExitCodesOpNotIn)...)
		if len(rule.ExitCodes.Values) > mostExitCodes {
			errs = append(errs, field.TooMany(at.Child("values"), len(rule.ExitCodes.Values), mostExitCodes))
		}
	}
	return errs
}
