package gateway

import (
	"runtime"
	"runtime/metrics"
)

// Use is what the gateway's process takes for itself.
type Use struct {
	Goroutines int
	Heap       uint64 // bytes of objects that live, or have not been collected yet
	Memory     uint64 // bytes that Go's runtime has of the system
}

func useNow() Use {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
	}
	metrics.Read(samples)
	return Use{
		Goroutines: runtime.NumGoroutine(),
		Heap:       samples[0].Value.Uint64(),
		Memory:     samples[1].Value.Uint64() - samples[2].Value.Uint64(),
	}
}
