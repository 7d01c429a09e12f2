package metrics

import (
	"bytes"
	"context"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"skiff/proxy/gateway"
	"skiff/proxy/pool"
	"skiff/proxy/switchboard"
)

func store(t *testing.T, objects ...any) cache.Indexer {
	s := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	for _, o := range objects {
		if err := s.Add(o); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestWriteMetrics(t *testing.T) {
	t.Parallel()
	p := pool.New(pool.Options{})
	t.Cleanup(p.Close)
	p.Replace([]pool.Member{{ID: "uid-1", Address: "a:1", Revision: "web-1"}, {ID: "endpoint", Address: "a:1"}}, pool.Expectation{})
	for i := range 5 {
		c, err := p.Claim(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		c.Answered([]int{200, 204, 404, 503, 0}[i])
		c.Release()
	}
	p.Failed(nil, pool.Refused)
	counts := switchboard.Counts{
		"default/web":  {"80/TCP": p.Counts(), "53/UDP": p.Counts()},
		"default/gone": {"80/TCP": p.Counts()},
	}
	m := New(Options{
		Counts:   func(context.Context) switchboard.Counts { return counts },
		Gateway:  func() gateway.Use { return gateway.Use{Goroutines: 11} },
		API:      func(tell func(method, code string, n uint64)) { tell("get", "2xx", 7) },
		Services: corelisters.NewServiceLister(store(t, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}})),
		Pods:     corelisters.NewPodLister(store(t, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web-1-a", UID: "uid-1"}})),
	})
	var text bytes.Buffer
	if err := m.WriteMetrics(t.Context(), &text); err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(&text)
	if err != nil {
		t.Fatal(err)
	}
	sum := func(name string, labels map[string]string) (n float64, series int) {
		for _, metric := range families[name].GetMetric() {
			if matches(metric, labels) {
				n += metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
				series++
			}
		}
		return n, series
	}
	for _, want := range []struct {
		name   string
		labels map[string]string
		n      float64
		series int
	}{
		{"skiff_service_requests_total", map[string]string{"service": "web", "port": "80"}, 6, 7},
		{"skiff_service_requests_total", map[string]string{"service": "web", "port": "53", "protocol": "UDP"}, 6, 7},
		{"skiff_service_requests_total", map[string]string{"port": "80", "code": "2xx"}, 2, 1},
		{"skiff_service_requests_total", map[string]string{"port": "80", "code": "none"}, 1, 1},
		{"skiff_service_request_failures_total", map[string]string{"port": "80", "cause": "client"}, 1, 2},
		{"skiff_service_request_failures_total", map[string]string{"port": "80", "cause": "application"}, 0, 3},
		{"skiff_service_requests_total", map[string]string{"service": "gone"}, 0, 0},
		{"skiff_pod_requests_total", map[string]string{"pod": ""}, 0, 0},
		{"skiff_pod_requests_total", map[string]string{"pod": "web-1-a"}, 2 * float64(counts["default/web"]["80/TCP"].Backends["uid-1"].Requests), 2},
		{"skiff_api_requests_total", map[string]string{"method": "get", "code": "2xx"}, 7, 1},
		{"skiff_gateway_goroutines", nil, 11, 1},
	} {
		if n, series := sum(want.name, want.labels); n != want.n || series != want.series {
			t.Errorf("%s%v: %v in %d series, want %v in %d", want.name, want.labels, n, series, want.n, want.series)
		}
	}
	durations := families["skiff_service_request_duration_seconds"].GetMetric()
	if len(durations) != 2 {
		t.Fatalf("%d histograms", len(durations))
	}
	h := durations[0].GetHistogram()
	if h.GetSampleCount() != 5 || h.GetBucket()[len(limits)-1].GetCumulativeCount() != 5 || h.GetSampleSum() <= 0 || h.GetSampleSum() > time.Minute.Seconds() {
		t.Errorf("histogram %v", h)
	}
	for _, name := range []string{"go_goroutines", "process_cpu_seconds_total"} {
		if len(families[name].GetMetric()) != 1 {
			t.Errorf("no %s", name)
		}
	}
}

func matches(m *dto.Metric, labels map[string]string) bool {
	found := 0
	for _, l := range m.GetLabel() {
		if want, asked := labels[l.GetName()]; asked && want == l.GetValue() {
			found++
		}
	}
	return found == len(labels)
}
