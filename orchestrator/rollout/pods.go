package rollout

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubectl/pkg/util/podutils"
)

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
	switch since := readySince(pod); {
	case !podutils.IsPodReady(pod):
		return time.Time{}, false
	case minReadySeconds == 0:
		return time.Time{}, true
	default:
		return since.Add(time.Duration(minReadySeconds) * time.Second), !since.IsZero()
	}
}

// readySince is zero for a Pod that is not ready, or does not say since when.
func readySince(pod *corev1.Pod) time.Time {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return c.LastTransitionTime.Time
		}
	}
	return time.Time{}
}
