package rollout

import (
	"cmp"
	"math/bits"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubectl/pkg/util/podutils"
)

// Doomed chooses the n Pods that a ReplicaSet gives up: those that are missed
// least. Kubernetes' order, earlier goes first:
//
//  1. not assigned to a node, before assigned
//  2. Pending, before Unknown, before Running
//  3. not Ready, before Ready
//  4. Ready but not yet available, before available
//  5. lower controller.kubernetes.io/pod-deletion-cost
//  6. Ready for a shorter time
//  7. more container restarts
//  8. created later
//
// The fourth is not Kubernetes': there a Pod's cost, or a difference in times
// too small to count, can let an available Pod go while an unavailable one
// stays, and with it the promised number of available Pods. Ages are compared
// by their order of magnitude, so that a series of scale-downs does not always
// hit the same generation of Pods; within one, the UID decides.
func Doomed(pods []*corev1.Pod, n int, minReadySeconds int32, now time.Time) []*corev1.Pod {
	if n >= len(pods) {
		return pods
	}
	sorted := slices.SortedFunc(slices.Values(pods), func(a, b *corev1.Pod) int {
		return cmp.Or(
			falseFirst(a.Spec.NodeName != "", b.Spec.NodeName != ""),
			cmp.Compare(phaseRank(a), phaseRank(b)),
			falseFirst(podutils.IsPodReady(a), podutils.IsPodReady(b)),
			falseFirst(IsAvailable(a, minReadySeconds, now), IsAvailable(b, minReadySeconds, now)),
			cmp.Compare(deletionCost(a), deletionCost(b)),
			cmp.Compare(magnitude(readySince(a), now), magnitude(readySince(b), now)),
			-cmp.Compare(restarts(a), restarts(b)),
			cmp.Compare(magnitude(a.CreationTimestamp.Time, now), magnitude(b.CreationTimestamp.Time, now)),
			cmp.Compare(a.UID, b.UID),
		)
	})
	return sorted[:max(0, n)]
}

func falseFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}

func phaseRank(pod *corev1.Pod) int {
	switch pod.Status.Phase {
	case corev1.PodRunning:
		return 2
	case corev1.PodUnknown:
		return 1
	default:
		return 0
	}
}

func deletionCost(pod *corev1.Pod) int32 {
	cost, err := strconv.ParseInt(pod.Annotations[corev1.PodDeletionCost], 10, 32)
	if err != nil {
		return 0
	}
	return int32(cost)
}

// magnitude is the number of binary digits of the age; a time that is not known
// counts as no age at all.
func magnitude(since, now time.Time) int {
	if since.IsZero() || !since.Before(now) {
		return 0
	}
	return bits.Len64(uint64(now.Sub(since)))
}

// restarts is the count of the container that restarted most.
func restarts(pod *corev1.Pod) int32 {
	var most int32
	for _, c := range pod.Status.ContainerStatuses {
		most = max(most, c.RestartCount)
	}
	return most
}
