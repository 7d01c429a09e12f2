package main

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// BenchmarkTwoHundredPods creates 200 Pods at once and asks the API for the
// Deployment every 10 ms until all are available: how long that takes, how long
// the API's answers do meanwhile, and what the daemon holds in memory then.
func BenchmarkTwoHundredPods(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "many")
	benchInstance(b, dir, "up", "--detach", "--listen", "127.0.0.1:0")
	defer benchInstance(b, dir, "down", "--purge")
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(dir, "kubeconfig"))
	if err != nil {
		b.Fatal(err)
	}
	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		b.Fatal(err)
	}
	var took []time.Duration
	var answers []time.Duration
	resides := 0
	for b.Loop() {
		begin := time.Now()
		benchInstance(b, dir, "create", "-f", "testdata/many.yaml")
		answers = append(answers, untilAvailable(b, client, 200)...)
		took = append(took, time.Since(begin))
		resides = max(resides, resident(b, strings.TrimSpace(read(b, filepath.Join(dir, "skiff.pid")))))
		benchInstance(b, dir, "delete", "-f", "testdata/many.yaml")
	}
	slices.Sort(answers)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(slices.Max(took).Seconds(), "all-ready-s")
	b.ReportMetric(float64(answers[len(answers)*99/100].Microseconds())/1000, "API-p99-ms")
	b.ReportMetric(float64(resides)/1e6, "RSS-MB")
}

// untilAvailable gives how long each answer took.
func untilAvailable(b *testing.B, client kubernetes.Interface, replicas int32) []time.Duration {
	ctx, cancel := context.WithTimeout(b.Context(), 5*time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var answers []time.Duration
	for {
		begin := time.Now()
		d, err := client.AppsV1().Deployments(metav1.NamespaceDefault).Get(ctx, "many", metav1.GetOptions{})
		if err != nil {
			b.Fatal(err)
		}
		answers = append(answers, time.Since(begin))
		if d.Status.AvailableReplicas == replicas {
			return answers
		}
		<-tick.C
	}
}
