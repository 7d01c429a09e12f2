package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"skiff/proxy/gateway"
)

var (
	gatewayGoroutines = prometheus.NewDesc("skiff_gateway_goroutines",
		"Goroutines of the gateway, which forwards between Pods.", nil, nil)
	gatewayHeap = prometheus.NewDesc("skiff_gateway_heap_objects_bytes",
		"Memory of objects in the gateway that live or have not been collected yet.", nil, nil)
	gatewayMemory = prometheus.NewDesc("skiff_gateway_runtime_memory_bytes",
		"Memory that the gateway's Go runtime has of the system.", nil, nil)
)

// use is what the gateway said last of itself.
type use gateway.Use

func (u use) Describe(to chan<- *prometheus.Desc) {
	to <- gatewayGoroutines
	to <- gatewayHeap
	to <- gatewayMemory
}

func (u use) Collect(to chan<- prometheus.Metric) {
	for desc, v := range map[*prometheus.Desc]float64{
		gatewayGoroutines: float64(u.Goroutines), gatewayHeap: float64(u.Heap), gatewayMemory: float64(u.Memory),
	} {
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v)
	}
}
