package node

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubectl/pkg/util/qos"

	"skiff/runtime/container"
)

// The kubelet's figures for the kernel.
const (
	minShares   = 2
	maxShares   = 262144
	coreShares  = 1024 // of one whole processor
	quotaPeriod = 100_000
	minQuota    = 1000

	bestEffortOOMScore = 1000
	burstableOOMScore  = 3 // at least
)

// limits says what a container may take of a machine with so much memory.
func limits(pod *corev1.Pod, c *corev1.Container, memory int64) container.Resources {
	cpu, limited := c.Resources.Limits[corev1.ResourceCPU]
	request, requested := c.Resources.Requests[corev1.ResourceCPU]
	if !requested && limited {
		request = cpu
	}
	r := container.Resources{
		CPUShares:   shares(request.MilliValue()),
		Memory:      c.Resources.Limits.Memory().Value(),
		OOMScoreAdj: oomScore(pod, c, memory),
	}
	if milli := cpu.MilliValue(); milli > 0 {
		r.CPUPeriod = quotaPeriod
		r.CPUQuota = max(milli*quotaPeriod/1000, minQuota)
	}
	return r
}

// sandboxLimits are those of the paused container that holds a Pod's network.
func sandboxLimits() container.Resources {
	return container.Resources{CPUShares: minShares}
}

func shares(milli int64) int64 {
	return min(max(milli*coreShares/1000, minShares), maxShares)
}

// oomScore makes a container the likelier to be killed where the machine is
// short of memory, the less of it was promised to it. It is the kubelet's, but
// for guaranteed containers, whose -997 would have the kernel kill the user's own
// programs first, and which an engine without all privileges cannot set.
func oomScore(pod *corev1.Pod, c *corev1.Container, memory int64) int {
	switch qos.GetPodQOS(pod) {
	case corev1.PodQOSGuaranteed:
		return 0
	case corev1.PodQOSBestEffort:
		return bestEffortOOMScore
	}
	score := int64(bestEffortOOMScore)
	if memory > 0 {
		score -= 1000 * c.Resources.Requests.Memory().Value() / memory
	}
	// Between the guaranteed and those without any promise.
	return int(min(max(score, burstableOOMScore), bestEffortOOMScore-1))
}
