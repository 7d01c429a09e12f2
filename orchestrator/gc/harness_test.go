package gc

import (
	"context"
	"log/slog"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"skiff/orchestrator/apiserver"
	"skiff/orchestrator/informer"
	"skiff/orchestrator/resource"
	"skiff/orchestrator/service/allocation"
	"skiff/orchestrator/store"
)

// cluster is the API over a store of its own with a collector at work.
type cluster struct {
	kubernetes.Interface
	controller *Controller
}

func newCluster(t *testing.T) *cluster {
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
	definitions := resource.All(resource.Options{Services: allocation.Ranges{ClusterIPs: netip.MustParsePrefix("10.96.0.0/16")}})
	server := apiserver.New(apiserver.Options{Store: db, Resources: definitions, Log: log})
	config := &rest.Config{Host: "http://skiff", Transport: apiserver.Transport(server), QPS: -1}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := metadata.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	factory := informer.NewFactory(client)
	controller, err := New(Options{
		Client: client, Metadata: objects, Factory: factory, Resources: definitions, RootCA: []byte("the CA"), Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	background(t, db.Run)
	background(t, server.Run)
	if err := controller.Bootstrap(t.Context()); err != nil {
		t.Fatal(err)
	}
	background(t, func(ctx context.Context) error {
		factory.Start(ctx.Done())
		defer factory.Wait()
		return controller.Run(ctx)
	})
	return &cluster{Interface: client, controller: controller}
}

// background runs f until the test ends.
func background(t *testing.T, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	})
}

func eventually(t *testing.T, what string, holds func(ctx context.Context) bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		return holds(ctx), nil
	})
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func podTemplate() corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web:1"}}},
	}
}

func (c *cluster) deployment(t *testing.T, name string) *appsv1.Deployment {
	t.Helper()
	d, err := c.AppsV1().Deployments("default").Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}, Template: podTemplate(),
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (c *cluster) replicaSet(t *testing.T, name string, owners ...metav1.OwnerReference) *appsv1.ReplicaSet {
	t.Helper()
	rs, err := c.AppsV1().ReplicaSets("default").Create(t.Context(), &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: owners},
		Spec: appsv1.ReplicaSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}, Template: podTemplate(),
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

func (c *cluster) pod(t *testing.T, namespace, name, node string, owners ...metav1.OwnerReference) *corev1.Pod {
	t.Helper()
	template := podTemplate()
	template.Spec.NodeName = node
	pod, err := c.CoreV1().Pods(namespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: owners}, Spec: template.Spec,
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

func ownedBy(owner metav1.Object, kind string) metav1.OwnerReference {
	return metav1.OwnerReference{
		APIVersion: "apps/v1", Kind: kind, Name: owner.GetName(), UID: owner.GetUID(),
		Controller: ptr.To(true), BlockOwnerDeletion: ptr.To(true),
	}
}

func (c *cluster) deleteDeployment(t *testing.T, name string, policy metav1.DeletionPropagation) {
	t.Helper()
	err := c.AppsV1().Deployments("default").Delete(t.Context(), name, metav1.DeleteOptions{PropagationPolicy: &policy})
	if err != nil {
		t.Fatal(err)
	}
}

// gone says whether a read failed because there is no such object.
func gone[T any](_ T, err error) bool { return apierrors.IsNotFound(err) }
