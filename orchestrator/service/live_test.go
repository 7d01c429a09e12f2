package service

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"path/filepath"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"skiff/orchestrator/apiserver"
	"skiff/orchestrator/informer"
	"skiff/orchestrator/resource"
	"skiff/orchestrator/service/allocation"
	"skiff/orchestrator/store"
)

// counting counts the requests that change something.
type counting struct {
	http.RoundTripper
	writes atomic.Int64
}

func (c *counting) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet {
		c.writes.Add(1)
	}
	return c.RoundTripper.RoundTrip(r)
}

// live runs a controller on the real API. The client given back is not the
// controller's, whose writes are counted.
func live(t *testing.T) (kubernetes.Interface, *counting) {
	t.Helper()
	db, err := store.Open(filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	log := slog.New(slog.DiscardHandler)
	ranges := allocation.Ranges{ClusterIPs: netip.MustParsePrefix("10.96.0.0/16")}
	server := apiserver.New(apiserver.Options{Store: db, Resources: resource.All(resource.Options{Services: ranges}), Log: log})
	counted := &counting{RoundTripper: apiserver.Transport(server)}
	clients := make([]kubernetes.Interface, 2)
	for i, transport := range []http.RoundTripper{counted, apiserver.Transport(server)} {
		if clients[i], err = kubernetes.NewForConfig(&rest.Config{Host: "http://skiff", Transport: transport, QPS: -1}); err != nil {
			t.Fatal(err)
		}
	}
	factory := informer.NewFactory(clients[0])
	c := New(clients[0], factory, log, API{ClusterIP: ranges.APIServiceIP(), Address: testAPI.Address, Port: testAPI.Port})
	for _, run := range []func(context.Context) error{db.Run, server.Run, c.Run, func(ctx context.Context) error {
		factory.Start(ctx.Done())
		<-ctx.Done()
		factory.Wait()
		return nil
	}} {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- run(ctx) }()
		t.Cleanup(func() { cancel(); <-done })
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	if _, err := clients[1].CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return clients[1], counted
}

func TestOnTheAPI(t *testing.T) {
	t.Parallel()
	client, counted := live(t)
	eventually(t, "the API's own service", func(ctx context.Context) bool {
		svc, err := client.CoreV1().Services("default").Get(ctx, "kubernetes", metav1.GetOptions{})
		return err == nil && svc.Spec.ClusterIP == "10.96.0.1" && slicesOf(ctx, client, "kubernetes")["172.30.0.1"]
	})
	svc := aService()
	svc.UID, svc.Spec.ClusterIP = "", ""
	if _, err := client.CoreV1().Services("default").Create(t.Context(), svc, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	want := aPod(0)
	pod, err := client.CoreV1().Pods("default").Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: want.Name, Labels: want.Labels},
		Spec: corev1.PodSpec{NodeName: "skiff", Containers: []corev1.Container{{
			Name: "web", Image: "web:1", Ports: want.Spec.Containers[0].Ports,
		}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pod.Status = want.Status
	if pod, err = client.CoreV1().Pods("default").UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the pod is an endpoint, in both forms", func(ctx context.Context) bool {
		e, err := client.CoreV1().Endpoints("default").Get(ctx, "web", metav1.GetOptions{})
		return slicesOf(ctx, client, "web")["10.0.0.1"] && err == nil && len(e.Subsets) == 1 && len(e.Subsets[0].Addresses) == 1
	})

	// What changes nothing for the Service is not written down again: the label
	// that comes after it is the next write.
	before := counted.writes.Load()
	pod.Status.Message = "still fine"
	if _, err := client.CoreV1().Pods("default").UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	label := []byte(`{"metadata":{"labels":{"team":"b"}}}`)
	if _, err := client.CoreV1().Services("default").Patch(t.Context(), "web", "application/merge-patch+json", label, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the label is on the endpoints", func(ctx context.Context) bool {
		e, err := client.CoreV1().Endpoints("default").Get(ctx, "web", metav1.GetOptions{})
		return err == nil && e.Labels["team"] == "b"
	})
	if n := counted.writes.Load() - before; n != 2 {
		t.Errorf("%d writes for a label on one slice and one Endpoints object", n)
	}
}
