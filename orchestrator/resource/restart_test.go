package resource

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestRestarts(t *testing.T) {
	t.Parallel()
	on := func(operator corev1.ContainerRestartRuleOnExitCodesOperator, codes ...int32) corev1.ContainerRestartRule {
		return corev1.ContainerRestartRule{
			Action:    corev1.ContainerRestartRuleActionRestart,
			ExitCodes: &corev1.ContainerRestartRuleOnExitCodes{Operator: operator, Values: codes},
		}
	}
	const in, notIn = corev1.ContainerRestartRuleOnExitCodesOpIn, corev1.ContainerRestartRuleOnExitCodesOpNotIn
	for _, test := range []struct {
		name     string
		pod      corev1.RestartPolicy
		own      corev1.ContainerRestartPolicy
		rules    []corev1.ContainerRestartRule
		restarts []int32
		rests    []int32
	}{
		{name: "always", pod: corev1.RestartPolicyAlways, restarts: []int32{0, 1}},
		{name: "on failure", pod: corev1.RestartPolicyOnFailure, restarts: []int32{1}, rests: []int32{0}},
		{name: "never", pod: corev1.RestartPolicyNever, rests: []int32{0, 1}},
		{name: "its own goes before the Pod's", pod: corev1.RestartPolicyAlways, own: corev1.ContainerRestartPolicyNever, rests: []int32{0, 1}},
		{name: "likewise", pod: corev1.RestartPolicyNever, own: corev1.ContainerRestartPolicyOnFailure, restarts: []int32{3}, rests: []int32{0}},
		{name: "but for these", own: corev1.ContainerRestartPolicyNever, rules: []corev1.ContainerRestartRule{on(in, 42, 43)}, restarts: []int32{42, 43}, rests: []int32{0, 1}},
		{name: "any but these", own: corev1.ContainerRestartPolicyNever, rules: []corev1.ContainerRestartRule{on(notIn, 42)}, restarts: []int32{0, 1}, rests: []int32{42}},
		{name: "one of several", own: corev1.ContainerRestartPolicyNever, rules: []corev1.ContainerRestartRule{on(in, 1), on(in, 2)}, restarts: []int32{1, 2}, rests: []int32{3}},
		{name: "a rule can only add", own: corev1.ContainerRestartPolicyAlways, rules: []corev1.ContainerRestartRule{on(in, 1)}, restarts: []int32{0, 1, 2}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := &corev1.Container{RestartPolicyRules: test.rules}
			if test.own != "" {
				c.RestartPolicy = &test.own
			}
			for want, codes := range map[bool][]int32{true: test.restarts, false: test.rests} {
				for _, code := range codes {
					if got := Restarts(c, test.pod, code); got != want {
						t.Errorf("exit code %d: %t", code, got)
					}
				}
			}
		})
	}
}
