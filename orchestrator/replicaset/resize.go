package replicaset

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"skiff/orchestrator/resource"
	"skiff/orchestrator/rollout"
	"skiff/orchestrator/rollout/recent"
)

// resize creates the Pods that are missing or deletes those that are too many.
func (r *run) resize(ctx context.Context, rs *appsv1.ReplicaSet) error {
	own, err := r.owned(rs)
	if err != nil {
		return err
	}
	pods := slices.DeleteFunc(own, func(pod *corev1.Pod) bool { return !resource.IsActive(pod) })
	missing := int(rollout.Size(rs)) - len(pods)
	switch {
	case missing > 0:
		err = r.create(ctx, rs, min(missing, burst))
	case missing < 0:
		doomed := rollout.Doomed(pods, min(-missing, burst), rs.Spec.MinReadySeconds, r.clock.Now())
		err = r.delete(ctx, rs, doomed)
	}
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return nil
	}
	return err
}

func (r *run) create(ctx context.Context, rs *appsv1.ReplicaSet, count int) error {
	// Should the informer never show one of them, it is missed then.
	r.queue.AddAfter(cache.MetaObjectToName(rs), recent.Patience)
	for _, round := range rollout.SlowStart(count) {
		var group errgroup.Group
		group.SetLimit(parallel)
		for range round {
			group.Go(func() error { return r.createPod(ctx, rs) })
		}
		if err := group.Wait(); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) createPod(ctx context.Context, rs *appsv1.ReplicaSet) error {
	pod, err := r.client.CoreV1().Pods(rs.Namespace).Create(ctx, newPod(rs), metav1.CreateOptions{})
	switch {
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return err
	case err != nil:
		r.events.Eventf(rs, corev1.EventTypeWarning, rollout.ReasonFailedCreate, "Error creating: %v", err)
		return fmt.Errorf("create pod: %w", err)
	}
	r.podWrites.Created(pod, r.clock.Now())
	r.events.Eventf(rs, corev1.EventTypeNormal, "SuccessfulCreate", "Created pod: %v", pod.Name)
	return nil
}

func newPod(rs *appsv1.ReplicaSet) *corev1.Pod {
	template := &rs.Spec.Template
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName:    rs.Name + "-",
			Namespace:       rs.Namespace,
			Labels:          maps.Clone(template.Labels),
			Annotations:     maps.Clone(template.Annotations),
			Finalizers:      slices.Clone(template.Finalizers),
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(rs, kind)},
		},
		Spec: *template.Spec.DeepCopy(),
	}
}

func (r *run) delete(ctx context.Context, rs *appsv1.ReplicaSet, doomed []*corev1.Pod) error {
	var group errgroup.Group
	group.SetLimit(parallel)
	for _, pod := range doomed {
		group.Go(func() error { return r.deletePod(ctx, rs, pod) })
	}
	return group.Wait()
}

// deletePod takes it for done where the Pod is gone already.
func (r *run) deletePod(ctx context.Context, rs *appsv1.ReplicaSet, pod *corev1.Pod) error {
	err := r.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
		Preconditions: metav1.NewUIDPreconditions(string(pod.UID)),
	})
	switch {
	case apierrors.IsNotFound(err):
	case err != nil:
		r.events.Eventf(rs, corev1.EventTypeWarning, rollout.ReasonFailedDelete, "Error deleting: %v", err)
		return fmt.Errorf("delete pod %s: %w", pod.Name, err)
	default:
		r.events.Eventf(rs, corev1.EventTypeNormal, "SuccessfulDelete", "Deleted pod: %v", pod.Name)
	}
	r.podWrites.Deleted(pod, r.clock.Now())
	return nil
}
