package deployment_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/retry"
	"k8s.io/kubectl/pkg/util/podutils"
	"k8s.io/utils/clock"

	"skiff/orchestrator/apiserver"
	"skiff/orchestrator/deployment"
	"skiff/orchestrator/informer"
	"skiff/orchestrator/replicaset"
	"skiff/orchestrator/resource"
	"skiff/orchestrator/rollout"
	"skiff/orchestrator/store"
)

// The controllers on the real API server with its store on disk, and a kubelet
// that makes every Pod Ready, except those whose image is bad, and ends those
// that are deleted.
func TestOnAPIServer(t *testing.T) {
	t.Parallel()
	api := serve(t)
	for _, step := range []struct{ image, revision string }{{"web:1", "1"}, {"web:2", "2"}, {"web:3", "3"}, {"web:2", "4"}} {
		start := time.Now()
		api.apply(t, newDeployment("web", 3, func(d *appsv1.Deployment) {
			d.Spec.Template.Spec.Containers[0].Image = step.image
			d.Spec.Strategy = rolling(intstr.FromInt32(1), intstr.FromInt32(0))
		}))
		d := api.await(t, "web", func(d *appsv1.Deployment) bool { return rollout.IsComplete(d, &d.Status) })
		t.Logf("rollout of %s took %v", step.image, time.Since(start))
		if got := d.Annotations[rollout.RevisionAnnotation]; got != step.revision {
			t.Errorf("%s is revision %s, want %s", step.image, got, step.revision)
		}
	}
	if d := api.await(t, "web", func(*appsv1.Deployment) bool { return true }); d.Generation != 4 {
		t.Errorf("generation is %d after four applies: the controllers changed what was asked for", d.Generation)
	}

	api.apply(t, newDeployment("web", 3, func(d *appsv1.Deployment) {
		d.Spec.Template.Spec.Containers[0].Image = "bad"
		d.Spec.ProgressDeadlineSeconds = new(int32(1))
	}))
	d := api.await(t, "web", func(d *appsv1.Deployment) bool {
		c := rollout.Condition(&d.Status, appsv1.DeploymentProgressing)
		return c != nil && c.Reason == rollout.ReasonTimedOut
	})
	if d.Status.AvailableReplicas != 3 {
		t.Errorf("%d pods are available beside a bad one, want 3", d.Status.AvailableReplicas)
	}

	api.apply(t, newDeployment("db", 1, recreate))
	api.await(t, "db", func(d *appsv1.Deployment) bool { return rollout.IsComplete(d, &d.Status) })
	api.apply(t, newDeployment("db", 1, recreate, func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = "db:2" }))
	api.await(t, "db", func(d *appsv1.Deployment) bool { return rollout.IsComplete(d, &d.Status) })
}

// served is an API server and the controllers on it.
type served struct {
	client  kubernetes.Interface
	factory *informer.Factory
	changed chan struct{} // a Deployment changed
}

func serve(t *testing.T) *served {
	t.Helper()
	kept, err := store.Open(filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	server := apiserver.New(apiserver.Options{Store: kept, Resources: resource.All(resource.Options{}), Log: log})
	client, err := kubernetes.NewForConfig(&rest.Config{
		Host: "http://skiff", Transport: apiserver.Transport(server), QPS: -1,
		ContentConfig: rest.ContentConfig{ContentType: "application/vnd.kubernetes.protobuf"},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &served{client: client, factory: informer.NewFactory(client), changed: make(chan struct{}, 1)}
	// What others write to ends after them.
	t.Cleanup(func() {
		if err := kept.Close(); err != nil {
			t.Error(err)
		}
	})
	inBackground(t, kept.Run)
	inBackground(t, server.Run)
	if _, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	inBackground(t, deployment.New(client, s.factory, log, clock.RealClock{}).Run)
	inBackground(t, replicaset.New(client, s.factory, log, clock.RealClock{}).Run)
	if _, err := s.factory.Deployments().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { s.wake() },
		UpdateFunc: func(any, any) { s.wake() },
	}); err != nil {
		t.Fatal(err)
	}
	s.runKubelet(t)
	ctx, cancel := context.WithCancel(t.Context())
	s.factory.Start(ctx.Done())
	t.Cleanup(func() {
		cancel()
		s.factory.Wait()
	})
	return s
}

func inBackground(t *testing.T, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := run(ctx); err != nil {
			t.Errorf("ended: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
}

func (s *served) wake() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

func (s *served) apply(t *testing.T, d *appsv1.Deployment) {
	t.Helper()
	deployments := s.client.AppsV1().Deployments(namespace)
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		was, err := deployments.Get(t.Context(), d.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			_, err = deployments.Create(t.Context(), d, metav1.CreateOptions{})
			return err
		}
		if err != nil {
			return err
		}
		was.Spec = d.Spec
		_, err = deployments.Update(t.Context(), was, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// await asks the server, not the informer: that may not show the change yet
// that is waited for.
func (s *served) await(t *testing.T, name string, done func(*appsv1.Deployment) bool) *appsv1.Deployment {
	t.Helper()
	timeout := time.After(time.Minute)
	for {
		d, err := s.client.AppsV1().Deployments(namespace).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if done(d) {
			return d
		}
		select {
		case <-s.changed:
		case <-timeout:
			t.Fatalf("deployment %s: %+v", name, d.Status)
		}
	}
}

// runKubelet works Pods off one after the other, in the order of their changes.
func (s *served) runKubelet(t *testing.T) {
	t.Helper()
	pods := make(chan *corev1.Pod, 1000)
	if _, err := s.factory.Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { pods <- obj.(*corev1.Pod) },
		UpdateFunc: func(_, obj any) { pods <- obj.(*corev1.Pod) },
	}); err != nil {
		t.Fatal(err)
	}
	inBackground(t, func(ctx context.Context) error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case pod := <-pods:
				if err := s.kubelet(ctx, pod); err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) && ctx.Err() == nil {
					return err
				}
			}
		}
	})
}

func (s *served) kubelet(ctx context.Context, pod *corev1.Pod) error {
	pods := s.client.CoreV1().Pods(pod.Namespace)
	switch {
	case pod.DeletionTimestamp != nil:
		return pods.Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0)), Preconditions: metav1.NewUIDPreconditions(string(pod.UID))})
	case pod.Spec.NodeName == "":
		return pods.Bind(ctx, &corev1.Binding{
			ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace, UID: pod.UID},
			Target:     corev1.ObjectReference{Kind: "Node", Name: resource.NodeName},
		}, metav1.CreateOptions{})
	case !podutils.IsPodReady(pod) && image(&pod.Spec) != "bad":
		pod = pod.DeepCopy()
		setReady(pod, true)
		_, err := pods.UpdateStatus(ctx, pod, metav1.UpdateOptions{})
		return err
	default:
		return nil
	}
}
