package scheduling

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

func TestEvict(t *testing.T) {
	t.Parallel()
	tolerate := func(key string, seconds ...int64) corev1.Toleration {
		t := corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute}
		if len(seconds) > 0 {
			t.TolerationSeconds = &seconds[0]
		}
		return t
	}
	tests := []struct {
		name        string
		taints      []string
		tolerations []corev1.Toleration
		after       time.Duration
		leaves      bool
	}{
		{name: "no taint"},
		{name: "not tolerated", taints: []string{"a"}, leaves: true},
		{name: "tolerated for ever", taints: []string{"a"}, tolerations: []corev1.Toleration{tolerate("a")}},
		{name: "tolerated for a while", taints: []string{"a"}, tolerations: []corev1.Toleration{tolerate("a", 60)}, after: time.Minute, leaves: true},
		{name: "the shortest of several", taints: []string{"a", "b"},
			tolerations: []corev1.Toleration{tolerate("a", 60), tolerate("b", 5)}, after: 5 * time.Second, leaves: true},
		{name: "one of two is not tolerated", taints: []string{"a", "b"}, tolerations: []corev1.Toleration{tolerate("a", 60)}, leaves: true},
		{name: "one of two is tolerated for ever", taints: []string{"a", "b"},
			tolerations: []corev1.Toleration{tolerate("a"), tolerate("b", 60)}, after: time.Minute, leaves: true},
		{name: "negative is at once", taints: []string{"a"}, tolerations: []corev1.Toleration{tolerate("a", -1)}, leaves: true},
		{name: "a toleration of another taint", taints: []string{"a"}, tolerations: []corev1.Toleration{tolerate("a"), tolerate("c", 1)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			node := machine(withTaint(corev1.TaintEffectNoSchedule)) // of no concern to Pods that run
			for _, key := range tt.taints {
				node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{Key: key, Effect: corev1.TaintEffectNoExecute})
			}
			pod := with(asking(), func(s *corev1.PodSpec) { s.Tolerations = tt.tolerations })
			if after, leaves := Evict(pod, node); after != tt.after || leaves != tt.leaves {
				t.Errorf("leaves %t after %s, want %t after %s", leaves, after, tt.leaves, tt.after)
			}
		})
	}
}
