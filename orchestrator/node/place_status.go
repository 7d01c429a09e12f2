package node

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// heldStatus is that of a Pod without a place on the node: the scheduler's
// word, and nothing of the kubelet's.
func heldStatus(s *state, st corev1.PodStatus, now time.Time) corev1.PodStatus {
	st.Phase = corev1.PodPending
	st.Conditions = s.dated([]corev1.PodCondition{{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: s.hold.reason, Message: s.hold.message,
	}}, now)
	return st
}
