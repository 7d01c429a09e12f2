package docker

import (
	dockercontainer "github.com/docker/docker/api/types/container"

	"skiff/runtime/container"
)

// bound sets what the container may take of the machine. The processor is
// bounded by quota and period, for the engine refuses more NanoCPUs than the
// machine has, which manifests written for larger ones ask for.
func bound(host *dockercontainer.HostConfig, r container.Resources) {
	host.CPUShares = r.CPUShares
	host.CPUQuota = r.CPUQuota
	host.CPUPeriod = r.CPUPeriod
	host.Memory = r.Memory
	host.MemorySwap = r.Memory // in sum, so that none is left for swap
	// An engine within a container, or without root, may not go below what it has
	// itself: the container would not start.
	host.OomScoreAdj = max(r.OOMScoreAdj, 0)
}
