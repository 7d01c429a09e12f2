package rollout

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// IsActive says whether a Pod counts as one of its ReplicaSet's: it neither has
// ended nor is about to.
func IsActive(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && !IsFinished(pod)
}

// isTerminating says whether a Pod is on its way out but still there.
func isTerminating(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp != nil && !IsFinished(pod)
}

// IsFinished says whether all of a Pod's containers have ended for good.
func IsFinished(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// IsReady says whether a Pod's own condition says so.
func IsReady(pod *corev1.Pod) bool {
	c := ready(pod)
	return c != nil && c.Status == corev1.ConditionTrue
}

// IsAvailable says whether a Pod has been Ready for minReadySeconds.
func IsAvailable(pod *corev1.Pod, minReadySeconds int32, now time.Time) bool {
	at, ok := availableAt(pod, minReadySeconds)
	return ok && !now.Before(at)
}

// NextAvailable is how long from now the next of the Ready Pods becomes
// available; ok is false where none is waiting for that.
func NextAvailable(pods []*corev1.Pod, minReadySeconds int32, now time.Time) (wait time.Duration, ok bool) {
	for _, pod := range pods {
		at, isReady := availableAt(pod, minReadySeconds)
		if !isReady || !now.Before(at) {
			continue
		}
		if left := at.Sub(now); !ok || left < wait {
			wait, ok = left, true
		}
	}
	return wait, ok
}

func availableAt(pod *corev1.Pod, minReadySeconds int32) (time.Time, bool) {
	c := ready(pod)
	if c == nil || c.Status != corev1.ConditionTrue {
		return time.Time{}, false
	}
	if minReadySeconds == 0 {
		return time.Time{}, true
	}
	if c.LastTransitionTime.IsZero() {
		return time.Time{}, false
	}
	return c.LastTransitionTime.Add(time.Duration(minReadySeconds) * time.Second), true
}

func ready(pod *corev1.Pod) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == corev1.PodReady {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}
