package node

import (
	corev1 "k8s.io/api/core/v1"
	apiresource "k8s.io/apimachinery/pkg/api/resource"
	componentresource "k8s.io/component-helpers/resource"
	"k8s.io/kubectl/pkg/util/qos"

	"skiff/orchestrator/resource"
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
	cpu, bytes := limit(pod, c, corev1.ResourceCPU), limit(pod, c, corev1.ResourceMemory)
	r := container.Resources{
		CPUShares:   shares(promised(pod, c, corev1.ResourceCPU)),
		Memory:      bytes.Value(),
		OOMScoreAdj: oomScore(pod, c, memory),
	}
	if milli := cpu.MilliValue(); milli > 0 {
		r.CPUPeriod = quotaPeriod
		r.CPUQuota = max(milli*quotaPeriod/1000, minQuota)
	}
	return r
}

// limit is a container's own, or else its Pod's: validation sees to it that then
// no other container runs beside it.
func limit(pod *corev1.Pod, c *corev1.Container, name corev1.ResourceName) apiresource.Quantity {
	own, limited := c.Resources.Limits[name]
	if !limited && pod.Spec.Resources != nil {
		return pod.Spec.Resources.Limits[name]
	}
	return own
}

// promised is what a container requests, and its part of what its Pod requests
// beyond its containers, which is in equal parts theirs; in thousandths.
func promised(pod *corev1.Pod, c *corev1.Container, name corev1.ResourceName) int64 {
	own, requested := c.Resources.Requests[name]
	if !requested {
		own = c.Resources.Limits[name]
	}
	if pod.Spec.Resources == nil {
		return own.MilliValue()
	}
	sharers := int64(len(pod.Spec.Containers))
	for _, init := range pod.Spec.InitContainers {
		if resource.IsSidecar(init) {
			sharers++
		}
	}
	whole := pod.Spec.Resources.Requests[name]
	asked := componentresource.AggregateContainerRequests(pod, componentresource.PodResourcesOptions{})[name]
	return own.MilliValue() + max(whole.MilliValue()-asked.MilliValue(), 0)/sharers
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
		score -= promised(pod, c, corev1.ResourceMemory) / memory
	}
	// Between the guaranteed and those without any promise.
	return int(min(max(score, burstableOOMScore), bestEffortOOMScore-1))
}
