package apiserver

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/retry"
)

func configMap(name string, data ...string) *corev1.ConfigMap {
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}}
	for i := 0; i+1 < len(data); i += 2 {
		if cm.Data == nil {
			cm.Data = map[string]string{}
		}
		cm.Data[data[i]] = data[i+1]
	}
	return cm
}

func TestTypedClientInEveryFormat(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, api *testAPI) {
		for _, contentType := range []string{runtime.ContentTypeProtobuf, runtime.ContentTypeJSON} {
			client := api.typed(t, contentType).CoreV1().ConfigMaps("default")
			name := "c" + fmt.Sprint(len(contentType))
			created, err := client.Create(t.Context(), configMap(name, "a", "1"), metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if created.UID == "" || created.ResourceVersion == "" || created.CreationTimestamp.IsZero() {
				t.Errorf("created object lacks its identity: %+v", created.ObjectMeta)
			}
			read, err := client.Get(t.Context(), name, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(created, read); diff != "" {
				t.Errorf("read differs from created (-created +read):\n%s", diff)
			}
			read.Data["b"] = "2"
			updated, err := client.Update(t.Context(), read, metav1.UpdateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if updated.ResourceVersion == created.ResourceVersion || updated.Data["b"] != "2" {
				t.Errorf("update not done: %+v", updated)
			}
			same, err := client.Update(t.Context(), updated, metav1.UpdateOptions{})
			if err != nil || same.ResourceVersion != updated.ResourceVersion {
				t.Errorf("an update without a change made version %s of %s, %v", same.ResourceVersion, updated.ResourceVersion, err)
			}
			if _, err = client.Update(t.Context(), created, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
				t.Errorf("stale update: %v", err)
			}
			if err := client.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			if _, err = client.Get(t.Context(), name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
				t.Errorf("get after delete: %v", err)
			}
		}
	})
}

func TestDynamicClient(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, api *testAPI) {
		client := api.dynamic(t).Resource(appsv1.SchemeGroupVersion.WithResource("deployments")).Namespace("default")
		obj := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "apps/v1", "kind": "Deployment",
			"metadata": map[string]any{"name": "web"},
			"spec":     map[string]any{"template": map[string]any{}},
		}}
		created, err := client.Create(t.Context(), obj, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if created.GetKind() != "Deployment" || created.GetGeneration() != 1 {
			t.Errorf("created %v", created.Object)
		}
		if replicas, _, _ := unstructured.NestedInt64(created.Object, "spec", "replicas"); replicas != 1 {
			t.Errorf("default not filled: %v", created.Object)
		}
		list, err := client.List(t.Context(), metav1.ListOptions{})
		if err != nil || len(list.Items) != 1 || list.GetResourceVersion() == "" {
			t.Errorf("list: %v, %v", list, err)
		}
	})
}

// Many clients raise one number; every raise must count.
func TestRetryOnConflict(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, api *testAPI) {
		client := api.proto(t).AppsV1().Deployments("default")
		if _, err := client.Create(t.Context(), &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "web"}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		const writers, each = 4, 10
		var group sync.WaitGroup
		for range writers {
			group.Go(func() {
				for range each {
					backoff := retry.DefaultBackoff
					backoff.Steps = 100
					if err := retry.RetryOnConflict(backoff, func() error {
						current, err := client.Get(t.Context(), "web", metav1.GetOptions{})
						if err != nil {
							return err
						}
						*current.Spec.Replicas++
						_, err = client.Update(t.Context(), current, metav1.UpdateOptions{})
						return err
					}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		final, err := client.Get(t.Context(), "web", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if want := int32(1 + writers*each); *final.Spec.Replicas != want || final.Generation != int64(want) {
			t.Errorf("replicas %d generation %d, want %d", *final.Spec.Replicas, final.Generation, want)
		}
	})
}

// An informer's cache must become what the API has, whatever is written while
// it starts.
func TestInformers(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, api *testAPI) {
		client := api.proto(t)
		for i := range 5 {
			if _, err := client.CoreV1().ConfigMaps("default").Create(t.Context(), configMap(fmt.Sprintf("before-%d", i)), metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		factory := informers.NewSharedInformerFactory(client, 0)
		t.Cleanup(func() { cancel(); factory.Shutdown() })
		seen := make(chan string, 100)
		informer := factory.Core().V1().ConfigMaps().Informer()
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(obj any) { seen <- "add " + obj.(*corev1.ConfigMap).Name },
			UpdateFunc: func(_, obj any) { seen <- "update " + obj.(*corev1.ConfigMap).Name },
			DeleteFunc: func(obj any) { seen <- "delete " + obj.(*corev1.ConfigMap).Name },
		}); err != nil {
			t.Fatal(err)
		}
		factory.Start(ctx.Done())
		if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
			t.Fatal("cache not synced")
		}
		if _, err := client.CoreV1().ConfigMaps("default").Create(ctx, configMap("after"), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := client.CoreV1().ConfigMaps("default").Update(ctx, configMap("after", "k", "v"), metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := client.CoreV1().ConfigMaps("default").Delete(ctx, "before-0", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		var got []string
		for len(got) < 8 {
			got = append(got, <-seen)
		}
		want := []string{"add before-0", "add before-1", "add before-2", "add before-3", "add before-4", "add after", "update after", "delete before-0"}
		if diff := cmp.Diff(want[5:], got[5:]); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		if n := len(informer.GetStore().List()); n != 5 {
			t.Errorf("%d objects in the cache, want 5", n)
		}
	})
}
