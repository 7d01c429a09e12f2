package disruption

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/kubectl/pkg/util/podutils"
)

// An evicted Pod whose deletion is not seen for so long was not deleted after
// all.
const deletionTimeout = 2 * time.Minute

// needsScale says whether the budget is about a share of what is asked for, and
// not just of what is there.
func needsScale(b *policyv1.PodDisruptionBudget) bool {
	return b.Spec.MaxUnavailable != nil || b.Spec.MinAvailable != nil && b.Spec.MinAvailable.Type == intstr.String
}

// status counts what the budget covers. scale is how many Pods are asked for,
// disrupted are those that were evicted and are not gone yet.
func status(b *policyv1.PodDisruptionBudget, pods []*corev1.Pod, scale int32, disrupted map[string]metav1.Time) policyv1.PodDisruptionBudgetStatus {
	expected, desired := bounds(b, int32(len(pods)), scale)
	healthy := int32(0)
	for _, pod := range pods {
		if _, leaving := disrupted[pod.Name]; !leaving && pod.DeletionTimestamp == nil && podutils.IsPodReady(pod) {
			healthy++
		}
	}
	next := b.Status.DeepCopy()
	next.ExpectedPods, next.DesiredHealthy, next.CurrentHealthy = expected, desired, healthy
	next.DisruptionsAllowed = max(healthy-desired, 0)
	if expected <= 0 {
		next.DisruptionsAllowed = 0
	}
	next.DisruptedPods = disrupted
	next.ObservedGeneration = b.Generation
	condition := metav1.Condition{
		Type: policyv1.DisruptionAllowedCondition, Status: metav1.ConditionTrue,
		Reason: policyv1.SufficientPodsReason, ObservedGeneration: b.Generation,
	}
	if next.DisruptionsAllowed == 0 {
		condition.Status, condition.Reason = metav1.ConditionFalse, policyv1.InsufficientPodsReason
	}
	apimeta.SetStatusCondition(&next.Conditions, condition)
	return *next
}

// failed is the status of a budget that cannot be judged: nothing is allowed.
func failed(b *policyv1.PodDisruptionBudget, why error) policyv1.PodDisruptionBudgetStatus {
	next := b.Status.DeepCopy()
	next.DisruptionsAllowed = 0
	next.ObservedGeneration = b.Generation
	apimeta.SetStatusCondition(&next.Conditions, metav1.Condition{
		Type: policyv1.DisruptionAllowedCondition, Status: metav1.ConditionFalse,
		Reason: policyv1.SyncFailedReason, Message: why.Error(), ObservedGeneration: b.Generation,
	})
	return *next
}

// bounds says how many Pods there should be, and how many of them healthy. A
// part of a Pod counts as one in favour of the Pods.
func bounds(b *policyv1.PodDisruptionBudget, there, scale int32) (expected, desired int32) {
	switch least, most := b.Spec.MinAvailable, b.Spec.MaxUnavailable; {
	case most != nil:
		return scale, max(scale-share(most, scale), 0)
	case least == nil:
		return there, 0
	case least.Type == intstr.Int:
		return there, least.IntVal
	default:
		return scale, share(least, scale)
	}
}

// share is what validation has let through, so there is always a number in it.
func share(of *intstr.IntOrString, total int32) int32 {
	n, err := intstr.GetScaledValueFromIntOrPercent(of, int(total), true)
	if err != nil {
		return total
	}
	return int32(n)
}

// stillDisrupted keeps the evicted Pods that are there and do not leave yet, and
// says when the first of them is to be given up waiting for.
func stillDisrupted(noted map[string]metav1.Time, pods []*corev1.Pod, now time.Time) (left map[string]metav1.Time, again time.Duration) {
	for _, pod := range pods {
		at, evicted := noted[pod.Name]
		remaining := at.Add(deletionTimeout).Sub(now)
		if !evicted || pod.DeletionTimestamp != nil || remaining <= 0 {
			continue
		}
		if left == nil {
			left = map[string]metav1.Time{}
		}
		left[pod.Name] = at
		if again == 0 || remaining < again {
			again = remaining
		}
	}
	return left, again
}
