package replicaset

import (
	"context"
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"

	"skiff/orchestrator/rollout"
)

var kind = appsv1.SchemeGroupVersion.WithKind("ReplicaSet")

// sync brings one ReplicaSet a step closer to what it asks for.
func (r *run) sync(ctx context.Context, key cache.ObjectName) error {
	rs, err := r.setWrites.Latest(func() (*appsv1.ReplicaSet, error) {
		return r.sets.Lister().ReplicaSets(key.Namespace).Get(key.Name)
	}, r.clock.Now())
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read replica set: %w", err)
	}
	if err := r.claim(ctx, rs); err != nil {
		return err
	}
	var failure error
	if rs.DeletionTimestamp == nil {
		failure = r.resize(ctx, rs)
	}
	return errors.Join(failure, r.report(ctx, key, rs, failure))
}

// view is every Pod of rs's namespace, this controller's own writes included.
func (r *run) view(rs *appsv1.ReplicaSet) ([]*corev1.Pod, error) {
	pods, err := r.podWrites.View(func() ([]*corev1.Pod, error) {
		return r.pods.Lister().Pods(rs.Namespace).List(labels.Everything())
	}, rs.UID, r.clock.Now())
	if err != nil {
		return nil, fmt.Errorf("list pods: %w", err)
	}
	return pods, nil
}

func (r *run) owned(rs *appsv1.ReplicaSet) ([]*corev1.Pod, error) {
	pods, err := r.view(rs)
	if err != nil {
		return nil, err
	}
	var own []*corev1.Pod
	for _, pod := range pods {
		if metav1.IsControlledBy(pod, rs) {
			own = append(own, pod)
		}
	}
	return own, nil
}

// report writes rs's status if it changed, and comes back when time alone will
// change it. Pods that this round created or deleted are counted already: the
// Deployment that waits to hear of it need not wait for the informer.
func (r *run) report(ctx context.Context, key cache.ObjectName, rs *appsv1.ReplicaSet, failure error) error {
	pods, err := r.owned(rs)
	if err != nil {
		return err
	}
	now := r.clock.Now()
	if wait, ok := rollout.NextAvailable(pods, rs.Spec.MinReadySeconds, now); ok {
		r.queue.AddAfter(key, wait)
	}
	status := rollout.ReplicaSetStatus(rs, pods, failure, now)
	if equality.Semantic.DeepEqual(rs.Status, status) {
		return nil
	}
	changed := rs.DeepCopy()
	changed.Status = status
	written, err := r.client.AppsV1().ReplicaSets(rs.Namespace).UpdateStatus(ctx, changed, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("write status of replica set: %w", err)
	}
	r.setWrites.Updated(rs, written)
	return nil
}
