package skifftest

import (
	"context"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/util/retry"

	"skiff/orchestrator/rollout"
)

// waitTimeout bounds the waits of this file.
const waitTimeout = 3 * time.Minute

// TryUpdate is Update for goroutines other than the test's own.
func (i *Instance) TryUpdate(ctx context.Context, name string, change func(*appsv1.Deployment)) error {
	deployments := i.Client.AppsV1().Deployments(Namespace)
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		d, err := deployments.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		change(d)
		_, err = deployments.Update(ctx, d, metav1.UpdateOptions{})
		return err
	})
}

// Complete says whether a rollout is over: every Pod is of the newest template
// and available, and no other one counts any more.
func Complete(d *appsv1.Deployment) bool {
	s := d.Status
	return s.ObservedGeneration >= d.Generation && s.UpdatedReplicas == *d.Spec.Replicas &&
		s.Replicas == s.UpdatedReplicas && s.AvailableReplicas == s.UpdatedReplicas
}

// WaitRollout waits until the Deployment is complete. One that exceeds its
// progress deadline fails the test then, as it fails kubectl rollout status.
func (i *Instance) WaitRollout(t testing.TB, name string) {
	t.Helper()
	d := i.WaitDeployment(t, name, func(d *appsv1.Deployment) bool { return Complete(d) || timedOut(d) })
	if !Complete(d) {
		t.Fatalf("deployment %s exceeded its progress deadline; last seen: %v", name, &d.Status)
	}
}

func timedOut(d *appsv1.Deployment) bool {
	return d.Status.ObservedGeneration >= d.Generation &&
		slices.ContainsFunc(d.Status.Conditions, func(c appsv1.DeploymentCondition) bool { return c.Reason == rollout.ReasonTimedOut })
}

// WaitDeployment waits until done says so of the Deployment.
func (i *Instance) WaitDeployment(t testing.TB, name string, done func(*appsv1.Deployment) bool) *appsv1.Deployment {
	t.Helper()
	client := i.Client.AppsV1().Deployments(Namespace)
	last := &appsv1.Deployment{}
	err := until(t.Context(), client.Watch, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", name).String()},
		func(ctx context.Context) (string, bool, error) {
			d, err := client.Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return "", false, err
			}
			last = d
			return d.ResourceVersion, done(d), nil
		})
	if err != nil {
		t.Fatalf("wait for deployment %s: %v; last seen: %v", name, err, &last.Status)
	}
	return last
}

// WaitPods waits until done says so of the Pods that the label selector matches.
func (i *Instance) WaitPods(t testing.TB, selector string, done func([]corev1.Pod) bool) []corev1.Pod {
	t.Helper()
	client := i.Client.CoreV1().Pods(Namespace)
	var last []corev1.Pod
	err := until(t.Context(), client.Watch, metav1.ListOptions{LabelSelector: selector},
		func(ctx context.Context) (string, bool, error) {
			list, err := client.List(ctx, metav1.ListOptions{LabelSelector: selector})
			if err != nil {
				return "", false, err
			}
			last = list.Items
			return list.ResourceVersion, done(last), nil
		})
	if err != nil {
		t.Fatalf("wait for pods %s: %v; last seen: %d", selector, err, len(last))
	}
	return last
}

// until looks, and looks again after every change since, until it has seen
// what it waits for.
func until(ctx context.Context, start func(context.Context, metav1.ListOptions) (watch.Interface, error),
	o metav1.ListOptions, look func(context.Context) (resourceVersion string, done bool, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, waitTimeout)
	defer cancel()
	for {
		rv, done, err := look(ctx)
		if err != nil || done {
			return err
		}
		o.ResourceVersion = rv
		w, err := start(ctx, o)
		if err != nil {
			return err
		}
		select {
		case <-w.ResultChan():
			w.Stop()
		case <-ctx.Done():
			w.Stop()
			return ctx.Err()
		}
	}
}
