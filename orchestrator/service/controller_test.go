package service

import (
	"context"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"

	"skiff/orchestrator/informer"
)

var testAPI = API{ClusterIP: netip.MustParseAddr("10.96.0.1"), Address: netip.MustParseAddr("172.30.0.1"), Port: 7443}

// start runs a controller on the objects until the test ends.
func start(t *testing.T, objects ...runtime.Object) kubernetes.Interface {
	t.Helper()
	client := fake.NewClientset(objects...)
	factory := informer.NewFactory(client)
	c := New(client, factory, slog.New(slog.DiscardHandler), testAPI)
	ctx, cancel := context.WithCancel(context.Background())
	factory.Start(ctx.Done())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		factory.Wait()
	})
	return client
}

func eventually(t *testing.T, what string, holds func(ctx context.Context) bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 2*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		return holds(ctx), nil
	})
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// slicesOf lists the addresses of a Service's slices and whether each is ready.
func slicesOf(ctx context.Context, client kubernetes.Interface, service string) map[string]bool {
	list, err := client.DiscoveryV1().EndpointSlices("default").List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + service})
	if err != nil || len(list.Items) == 0 {
		return nil
	}
	addresses := map[string]bool{}
	for _, s := range list.Items {
		for _, e := range s.Endpoints {
			addresses[e.Addresses[0]] = *e.Conditions.Ready
		}
	}
	return addresses
}

func TestFollowsPods(t *testing.T) {
	t.Parallel()
	client := start(t, aService(), aPod(0))
	pods := client.CoreV1().Pods("default")

	eventually(t, "the first pod is an endpoint", func(ctx context.Context) bool {
		got := slicesOf(ctx, client, "web")
		return len(got) == 1 && got["10.0.0.1"]
	})
	if _, err := pods.Create(t.Context(), aPod(1, notReady), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a second pod appears, not ready", func(ctx context.Context) bool {
		got := slicesOf(ctx, client, "web")
		ready, ok := got["10.0.0.2"]
		return ok && !ready
	})
	if _, err := pods.Update(t.Context(), aPod(1), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it becomes ready, in the endpoints as well", func(ctx context.Context) bool {
		e, err := client.CoreV1().Endpoints("default").Get(ctx, "web", metav1.GetOptions{})
		return slicesOf(ctx, client, "web")["10.0.0.2"] && err == nil && len(e.Subsets) == 1 && len(e.Subsets[0].Addresses) == 2
	})
	if err := pods.Delete(t.Context(), "web-0000", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a deleted pod is gone", func(ctx context.Context) bool {
		got := slicesOf(ctx, client, "web")
		return len(got) == 1 && got["10.0.0.2"]
	})
	if err := client.CoreV1().Services("default").Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the endpoints go with the service", func(ctx context.Context) bool {
		list, err := client.CoreV1().Endpoints("default").List(ctx, metav1.ListOptions{})
		return err == nil && len(list.Items) == 1 && list.Items[0].Name == "kubernetes"
	})
}

func TestRestoresWhatOthersChange(t *testing.T) {
	t.Parallel()
	client := start(t, aService(), aPod(0))
	slices := client.DiscoveryV1().EndpointSlices("default")
	eventually(t, "endpoints", func(ctx context.Context) bool { return slicesOf(ctx, client, "web")["10.0.0.1"] })

	list, err := slices.List(t.Context(), metav1.ListOptions{LabelSelector: discoveryv1.LabelManagedBy + "=" + sliceManager})
	if err != nil || len(list.Items) != 1 {
		t.Fatalf("%d slices, %v", len(list.Items), err)
	}
	if err := slices.Delete(t.Context(), list.Items[0].Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the slice is back", func(ctx context.Context) bool { return slicesOf(ctx, client, "web")["10.0.0.1"] })
}

func TestAPIService(t *testing.T) {
	t.Parallel()
	client := start(t)
	complete := func(ctx context.Context) bool {
		svc, err := client.CoreV1().Services("default").Get(ctx, "kubernetes", metav1.GetOptions{})
		if err != nil || svc.Spec.ClusterIP != "10.96.0.1" || svc.Spec.Ports[0].Port != 443 || svc.Spec.Ports[0].TargetPort.IntVal != 7443 {
			return false
		}
		e, err := client.CoreV1().Endpoints("default").Get(ctx, "kubernetes", metav1.GetOptions{})
		return slicesOf(ctx, client, "kubernetes")["172.30.0.1"] && err == nil && e.Subsets[0].Addresses[0].IP == "172.30.0.1"
	}
	eventually(t, "made at start", complete)

	if err := client.CoreV1().Services("default").Delete(t.Context(), "kubernetes", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "made again", complete)

	for _, change := range []func(*corev1.Service){
		func(s *corev1.Service) { s.Spec.Ports[0].Port = 444 },
		func(s *corev1.Service) { s.Spec.ClusterIP = "10.99.0.1" },
	} {
		svc, err := client.CoreV1().Services("default").Get(t.Context(), "kubernetes", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		change(svc)
		if _, err := client.CoreV1().Services("default").Update(t.Context(), svc, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "put right", complete)
	}
	if err := client.DiscoveryV1().EndpointSlices("default").Delete(t.Context(), "kubernetes", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the slice is back", complete)
}
