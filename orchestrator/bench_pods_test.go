package orchestrator_test

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"skiff/orchestrator/skifftest"
)

// compare reports medians of the engine's time and of skiff's, and their ratio.
func compare(b *testing.B, engine, skiff []time.Duration) {
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(ms(median(engine)), "engine-ms")
	b.ReportMetric(ms(median(skiff)), "skiff-ms")
	b.ReportMetric(float64(median(skiff))/float64(median(engine)), "ratio")
}

// BenchmarkFiftyPods: the engine runs 50 plain containers until each has
// answered, then skiff a Deployment of 50 replicas until all are Ready.
func BenchmarkFiftyPods(b *testing.B) {
	const pods = 50
	i := skifftest.New(b)
	by := byHand(b)
	var engine, ours []time.Duration
	for n := 0; b.Loop(); n++ {
		begin := time.Now()
		ids := by.runAll(b, n*pods, pods)
		engine = append(engine, time.Since(begin))
		by.removeAll(b, ids)
		ours = append(ours, deployOnce(b, i, pods))
	}
	compare(b, engine, ours)
}

// BenchmarkRollingUpdateOfTen: the engine runs 10 containers and removes 10
// others, then skiff updates a Deployment of 10 replicas, until only the new
// Pods are there: soon after the last update, and when for each Pod a sandbox
// stands by. The end of those comes later and is waited for before the engine's
// next turn.
func BenchmarkRollingUpdateOfTen(b *testing.B) {
	b.Run("soon after the last", func(b *testing.B) { rollTen(b, false) })
	b.Run("with sandboxes that stand by", func(b *testing.B) { rollTen(b, true) })
}

func rollTen(b *testing.B, standBy bool) {
	const pods = 10
	i := skifftest.New(b)
	by := byHand(b)
	i.Deploy(b, web(pods))
	old := by.runAll(b, 0, pods)
	var engine, ours []time.Duration
	for n := 1; b.Loop(); n++ {
		var boxes []string
		for _, pod := range i.WaitPods(b, "app=web", func(all []corev1.Pod) bool { return len(all) == pods }) {
			if standBy {
				boxes = append(boxes, awaitStandby(b, &pod))
			}
		}
		begin := time.Now()
		next := by.runAll(b, n*pods, pods)
		by.removeAll(b, old)
		old = next
		engine = append(engine, time.Since(begin))

		begin = time.Now()
		i.Update(b, "web", version(n+1))
		i.WaitRollout(b, "web")
		i.WaitPods(b, "app=web", func(all []corev1.Pod) bool { return len(all) == pods })
		ours = append(ours, time.Since(begin))
		for _, id := range boxes {
			eventually(b, "the old sandboxes are removed", func() bool { return dockerDo(b, "ps -aq --filter id="+id) == "" })
		}
	}
	compare(b, engine, ours)
}

// BenchmarkRestart: the engine runs a plain container until it has answered, and
// another one in its place once it has ended; then a Pod's container ends and its
// Pod is Ready again. The engine's own end of a container is part of that: of one
// that owns the Pod's network, when the sandbox stands by and before, and of one in
// a network that stands, as ever after and in each Pod of more than one container.
func BenchmarkRestart(b *testing.B) {
	alone := func(*appsv1.Deployment) {}
	for _, row := range []struct {
		name     string
		pod      func(*appsv1.Deployment)
		standsBy bool
	}{{"first", alone, true}, {"in the first seconds", alone, false}, {"in the standing network", withSandbox, false}} {
		b.Run(row.name, func(b *testing.B) { restart(b, row.pod, row.standsBy) })
	}
}

// withSandbox gives the Pod one from its beginning. Where it gets one later,
// its next restart waits for the back-off.
func withSandbox(d *appsv1.Deployment) {
	share := true
	d.Spec.Template.Spec.ShareProcessNamespace = &share
}

func restart(b *testing.B, pod func(*appsv1.Deployment), standsBy bool) {
	i := skifftest.New(b)
	by := byHand(b)
	var engine, again, ours []time.Duration
	for n := 0; b.Loop(); n++ {
		plain, anew := by.restart(b, 2*n)
		engine, again = append(engine, plain), append(again, anew)
		// A second restart of the same Pod would wait for its back-off.
		i.Deploy(b, web(1, pod))
		pod := i.WaitPods(b, "app=web", func(all []corev1.Pod) bool { return len(all) == 1 })[0]
		if standsBy {
			awaitStandby(b, &pod)
		}
		id := strings.TrimPrefix(pod.Status.ContainerStatuses[0].ContainerID, "docker://")
		begin := time.Now()
		if err := by.engine.Stop(b.Context(), id, 0); err != nil {
			b.Fatal(err)
		}
		i.WaitPods(b, "app=web", func(all []corev1.Pod) bool {
			c := all[0].Status.ContainerStatuses[0]
			return c.RestartCount == 1 && c.Ready
		})
		ours = append(ours, time.Since(begin))
		remove(b, i)
	}
	compare(b, engine, ours)
	b.ReportMetric(ms(median(again)), "engine-restart-ms")
	b.ReportMetric(float64(median(again))/float64(median(engine)), "engine-restart-ratio")
}
