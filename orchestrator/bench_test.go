package orchestrator_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"skiff/examples/load"
	"skiff/orchestrator/skifftest"
)

// BenchmarkApplyToReady takes turns: the engine creates and starts a container
// and gets its first answer, then skiff takes a Deployment of one replica from
// the request to Ready. What skiff adds is the difference of the two.
func BenchmarkApplyToReady(b *testing.B) {
	i := skifftest.New(b)
	by := byHand(b)
	var plain, ours, added []time.Duration
	for n := 0; b.Loop(); n++ {
		p := by.once(b, n)
		o := deployOnce(b, i, 1)
		plain, ours, added = append(plain, p), append(ours, o), append(added, o-p)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(ms(median(plain)), "engine-ms")
	b.ReportMetric(ms(median(ours)), "skiff-ms")
	b.ReportMetric(ms(median(added)), "added-ms")
	b.ReportMetric(float64(median(ours))/float64(median(plain)), "ratio")
}

// deployOnce takes a Deployment from the request to Ready, and deletes it.
func deployOnce(b *testing.B, i *skifftest.Instance, replicas int32) time.Duration {
	start := time.Now()
	i.Deploy(b, web(replicas))
	took := time.Since(start)
	remove(b, i)
	return took
}

// remove deletes the Deployment web and waits until its Pods are gone.
func remove(b *testing.B, i *skifftest.Instance) {
	background := metav1.DeletePropagationBackground
	if err := i.Client.AppsV1().Deployments(skifftest.Namespace).Delete(b.Context(), "web", metav1.DeleteOptions{PropagationPolicy: &background}); err != nil {
		b.Fatal(err)
	}
	i.WaitPods(b, "app=web", func(pods []corev1.Pod) bool { return len(pods) == 0 })
}

// BenchmarkRollingUpdate updates 3 replicas at 2,000 requests per second, half
// of them on connections of their own, from servers that drop everything at
// SIGTERM: one more at a time, which is what a manifest gets that says nothing,
// so that the three starts follow one another, and all at once. Under the same
// load and in the same turns the engine runs three containers by hand until
// each has answered: sooner not all answers can be new. The 99th percentile of the
// waits is that of the calm before, of the engine's turn and of the update.
func BenchmarkRollingUpdate(b *testing.B) {
	for _, row := range []struct {
		name, maxSurge string
		atOnce         int
	}{{"one more at a time", "25%", 1}, {"all at once", "100%", 3}} {
		strategy := surge(intstr.FromString(row.maxSurge), intstr.FromString("25%"))
		b.Run(row.name, func(b *testing.B) { rollingUpdate(b, strategy, row.atOnce) })
	}
}

func rollingUpdate(b *testing.B, strategy func(*appsv1.Deployment), atOnce int) {
	const replicas = 3
	i := skifftest.New(b)
	by := byHand(b)
	i.Deploy(b, web(replicas, strategy))
	address := i.Expose(b, nodePort("web", "http"))
	waitAnswer(b, address)
	var engine, allNew, gaps, before, byEngine, during []time.Duration
	requests, failed := 0, 0
	for n := 0; b.Loop(); n++ {
		ctx, stop := context.WithCancel(b.Context())
		result := make(chan *load.Result, 1)
		var seen samples
		calm := time.Now()
		go func() {
			result <- load.Run(ctx, load.Options{Address: address, Rate: 2000, Fresh: 0.5}, seen.add)
		}()
		settle(b)
		var ids []string
		begin := time.Now()
		for len(ids) < replicas {
			ids = append(ids, by.runAll(b, n*replicas+len(ids), atOnce)...)
		}
		hand := time.Now()
		engine = append(engine, hand.Sub(begin))
		by.removeAll(b, ids)
		settle(b)
		update := time.Now()
		i.Update(b, "web", version(n+2))
		i.WaitRollout(b, "web")
		done := time.Now()
		settle(b)
		stop()
		r := <-result
		allNew = append(allNew, r.LastAnswer(fmt.Sprint(n+1)).Sub(update))
		gaps = append(gaps, r.LongestGap())
		before = append(before, seen.p99(calm, begin))
		byEngine = append(byEngine, seen.p99(begin, hand))
		during = append(during, seen.p99(update, done))
		requests, failed = requests+r.Requests(), failed+len(r.Failures())
		for _, s := range r.Failures()[:min(3, len(r.Failures()))] {
			b.Logf("failed after %v: %v", s.Wait, s.Err)
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(ms(median(allNew)), "all-new-ms")
	b.ReportMetric(ms(median(engine)), "engine-ms")
	b.ReportMetric(float64(median(allNew))/float64(median(engine)), "ratio")
	b.ReportMetric(ms(median(gaps)), "longest-gap-ms")
	b.ReportMetric(ms(median(before)), "p99-before-ms")
	b.ReportMetric(ms(median(byEngine)), "p99-by-hand-ms")
	b.ReportMetric(ms(median(during)), "p99-ms")
	b.ReportMetric(float64(requests), "requests")
	b.ReportMetric(float64(failed), "failed")
}

// samples are the requests of a load.
type samples struct {
	mu  sync.Mutex // guards all
	all []load.Sample
}

func (s *samples) add(one load.Sample) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, one)
}

// p99 is what 99 of 100 requests waited at most that were due in between.
func (s *samples) p99(from, to time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	var waits []time.Duration
	for _, one := range s.all {
		if !one.Due.Before(from) && one.Due.Before(to) {
			waits = append(waits, one.Wait)
		}
	}
	slices.Sort(waits)
	return waits[len(waits)*99/100]
}

// settle lets the load run for a while, so that the quantiles have a before and
// an after.
func settle(b *testing.B) {
	select {
	case <-time.After(2 * time.Second):
	case <-b.Context().Done():
	}
}

func median(all []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
