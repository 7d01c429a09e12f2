package metrics

import (
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/labels"

	"skiff/proxy/pool"
	"skiff/proxy/switchboard"
)

// traffic are the metrics of the Services and of the Pods behind them. Each port
// has series of its own, which add up to the Service's.
type traffic struct {
	options Options
	counts  switchboard.Counts
}

var (
	port = []string{"namespace", "service", "port", "protocol"}

	requests  = service("requests_total", "Requests, each once, at its end. TCP connections and UDP sessions count too, with an empty code; so does what got no answer, with the code none.", "code")
	durations = service("request_duration_seconds", "How long requests took that were answered, from their arrival to the end of the answer. Streams are left out.")
	failures  = service("request_failures_total", "Requests that got no good answer, by whose doing that was (application, probe, proxy, client) and what happened.", "cause", "reason")
	retried   = service("requests_retried_total", "Requests for which more than one Pod was tried.")
	held      = service("requests_held_total", "Requests that waited for a Pod to become ready.")
	holdTime  = service("hold_seconds_total", "How long requests have waited for a Pod to become ready, all together.")
	waiting   = service("requests_waiting", "Requests that wait for a Pod to become ready now.")
	inFlight  = service("requests_in_flight", "Requests and streams that a Pod has now.")
	open      = service("open_connections", "TCP connections, WebSockets, event streams, streaming gRPC calls and UDP sessions that are open now.")
	drained   = service("streams_drained_total", "Streams that ended without harm because their Pod left.", "stream")
	cut       = service("streams_cut_total", "Streams that were ended in the midst of something, by their Pod or because it left.", "stream")

	pod         = []string{"namespace", "service", "port", "protocol", "pod"}
	podRequests = prometheus.NewDesc("skiff_pod_requests_total", "Requests that a Pod behind a Service has had, as long as it is there.", pod, nil)
	podFailures = prometheus.NewDesc("skiff_pod_request_failures_total", "Those of them that got no good answer.", pod, nil)
	podInFlight = prometheus.NewDesc("skiff_pod_requests_in_flight", "Requests and streams that the Pod has now.", pod, nil)
)

func service(name, help string, more ...string) *prometheus.Desc {
	return prometheus.NewDesc("skiff_service_"+name, help, append(append([]string{}, port...), more...), nil)
}

// limits of the histogram's buckets.
var limits = []time.Duration{
	1e6, 2.5e6, 5e6, 10e6, 25e6, 50e6, 100e6, 250e6, 500e6, 1e9, 2.5e9, 5e9, 10e9, 30e9, 60e9,
}

func (t traffic) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		requests, durations, failures, retried, held, holdTime, waiting, inFlight, open, drained, cut,
		podRequests, podFailures, podInFlight,
	} {
		to <- d
	}
}

func (t traffic) Collect(to chan<- prometheus.Metric) {
	for key, ports := range t.counts {
		namespace, name, _ := strings.Cut(key, "/")
		if _, err := t.options.Services.Services(namespace).Get(name); err != nil {
			continue
		}
		pods := t.podsIn(namespace)
		for at, counts := range ports {
			number, protocol, _ := strings.Cut(at, "/")
			of := []string{namespace, name, number, protocol}
			collectService(to, of, counts)
			for id, n := range counts.Backends {
				if podName, known := pods[id]; known {
					collectPod(to, with(of, podName), n)
				}
			}
		}
	}
}

// podsIn are the names of a namespace's Pods, by UID.
func (t traffic) podsIn(namespace string) map[string]string {
	names := map[string]string{}
	pods, err := t.options.Pods.Pods(namespace).List(labels.Everything())
	if err != nil {
		return nil
	}
	for _, p := range pods {
		names[string(p.UID)] = p.Name
	}
	return names
}

func collectService(to chan<- prometheus.Metric, of []string, counts pool.Counts) {
	var all pool.Tally
	for _, t := range counts.Revisions {
		all = all.Plus(t)
	}
	counter := func(d *prometheus.Desc, n float64, more ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, n, with(of, more...)...)
	}
	gauge := func(d *prometheus.Desc, n int) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), of...)
	}
	for class, n := range all.Answered {
		code := ""
		if class > 0 {
			code = fmt.Sprint(class, "xx")
		}
		counter(requests, float64(n), code)
	}
	counter(requests, float64(all.Failed()), "none")
	for _, cause := range pool.Causes() {
		counter(failures, float64(all.Failures[cause]), cause.Fault(), cause.String())
	}
	for _, kind := range pool.Streams() {
		counter(drained, float64(all.Drained[kind]), kind.String())
		counter(cut, float64(all.Cut[kind]), kind.String())
	}
	counter(retried, float64(all.Retried))
	counter(held, float64(all.Held.Count()))
	counter(holdTime, all.Held.Sum.Seconds())
	within := make(map[float64]uint64, len(limits))
	for _, limit := range limits {
		within[limit.Seconds()] = all.Took.Within(limit)
	}
	to <- prometheus.MustNewConstHistogram(durations, all.Took.Count(), all.Took.Sum.Seconds(), within, of...)

	var busy, streams int
	for _, n := range counts.Backends {
		busy += n.InFlight
		streams += n.Streams
	}
	gauge(waiting, counts.Waiting)
	gauge(inFlight, busy)
	gauge(open, streams)
}

func collectPod(to chan<- prometheus.Metric, of []string, n pool.BackendCount) {
	to <- prometheus.MustNewConstMetric(podRequests, prometheus.CounterValue, float64(n.Requests), of...)
	to <- prometheus.MustNewConstMetric(podFailures, prometheus.CounterValue, float64(n.Failed), of...)
	to <- prometheus.MustNewConstMetric(podInFlight, prometheus.GaugeValue, float64(n.InFlight), of...)
}

func with(of []string, more ...string) []string {
	return append(append(make([]string, 0, len(of)+len(more)), of...), more...)
}
