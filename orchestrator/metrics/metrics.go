// Package metrics tells Prometheus what skiff has counted: the traffic of every
// Service and Pod, the requests to the API, and what the process uses.
package metrics

import (
	"context"
	"fmt"
	"io"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"
	corelisters "k8s.io/client-go/listers/core/v1"

	"skiff/proxy/gateway"
	"skiff/proxy/switchboard"
)

// Options are what the metrics are made of.
type Options struct {
	Counts  func(context.Context) switchboard.Counts // by namespace/name of the Service
	Gateway func() gateway.Use
	// API tells of the requests to the API, by method and class of the status.
	API func(tell func(method, code string, n uint64))
	// Services and Pods say which there are: what is gone has no series.
	Services corelisters.ServiceLister
	Pods     corelisters.PodLister
}

// Metrics is safe for concurrent use.
type Metrics struct{ options Options }

// New makes a Metrics.
func New(o Options) *Metrics { return &Metrics{o} }

// WriteMetrics writes all there is in Prometheus' text format.
func (m *Metrics) WriteMetrics(ctx context.Context, w io.Writer) error {
	registry := prometheus.NewRegistry()
	for _, c := range []prometheus.Collector{
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		apiRequests(m.options.API), traffic{m.options, m.options.Counts(ctx)},
		use(m.options.Gateway()), // who counts has just asked it
	} {
		if err := registry.Register(c); err != nil {
			return fmt.Errorf("collect metrics: %w", err)
		}
	}
	families, err := registry.Gather()
	if err != nil {
		return fmt.Errorf("collect metrics: %w", err)
	}
	encoder := expfmt.NewEncoder(w, expfmt.NewFormat(expfmt.TypeTextPlain))
	for _, family := range families {
		if err := encoder.Encode(family); err != nil {
			return fmt.Errorf("write metrics: %w", err)
		}
	}
	return nil
}

type apiRequests func(tell func(method, code string, n uint64))

var apiRequestsTotal = prometheus.NewDesc("skiff_api_requests_total",
	"Requests to the API that were answered, those of skiff's own controllers included.", []string{"method", "code"}, nil)

func (a apiRequests) Describe(to chan<- *prometheus.Desc) { to <- apiRequestsTotal }

func (a apiRequests) Collect(to chan<- prometheus.Metric) {
	a(func(method, code string, n uint64) {
		to <- prometheus.MustNewConstMetric(apiRequestsTotal, prometheus.CounterValue, float64(n), method, code)
	})
}
