package node

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// TestOwnRestartPolicies plays a Pod whose containers have restart policies of
// their own: it goes on as long as one of them does.
func TestOwnRestartPolicies(t *testing.T) {
	playInits(t, func(t *testing.T, w *world) {
		never, always := corev1.ContainerRestartPolicyNever, corev1.ContainerRestartPolicyAlways
		on := func(codes ...int32) []corev1.ContainerRestartRule {
			return []corev1.ContainerRestartRule{{
				Action:    corev1.ContainerRestartRuleActionRestart,
				ExitCodes: &corev1.ContainerRestartRuleOnExitCodes{Operator: corev1.ContainerRestartRuleOnExitCodesOpIn, Values: codes},
			}}
		}
		count := func(pod string) int32 { return w.pod(pod).Status.ContainerStatuses[0].RestartCount }
		make := func(name, image string, pod corev1.RestartPolicy, own corev1.ContainerRestartPolicy, rules []corev1.ContainerRestartRule) {
			w.create(newPodObject(name, image, func(p *corev1.Pod) {
				p.Spec.RestartPolicy = pod
				p.Spec.Containers[0].RestartPolicy, p.Spec.Containers[0].RestartPolicyRules = &own, rules
			}))
		}
		phase := func(pod string, want corev1.PodPhase) {
			t.Helper()
			w.until(time.Minute, pod+" is "+string(want), func() bool { return w.pod(pod).Status.Phase == want })
		}
		make("rule", "failing", corev1.RestartPolicyNever, never, on(1))
		w.until(time.Minute, "a rule has it restarted", func() bool { return count("rule") == 2 })
		phase("rule", corev1.PodRunning)
		make("no-rule", "failing", corev1.RestartPolicyAlways, never, on(7))
		phase("no-rule", corev1.PodFailed)
		make("done", "done", corev1.RestartPolicyAlways, never, nil)
		phase("done", corev1.PodSucceeded)
		make("again", "done", corev1.RestartPolicyNever, always, nil)
		w.until(time.Minute, "its own policy has it restarted", func() bool { return count("again") == 2 })

		// An init container that is not to be tried again fails its Pod.
		w.create(newPodObject("init", "web:1", withInits("one=failing"), func(p *corev1.Pod) { p.Spec.InitContainers[0].RestartPolicy = &never }))
		phase("init", corev1.PodFailed)
		if n := w.pod("init").Status.InitContainerStatuses[0].RestartCount; n != 0 {
			t.Errorf("it was restarted %d times", n)
		}
	})
}
