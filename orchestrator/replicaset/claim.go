package replicaset

import (
	"context"
	"errors"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"skiff/orchestrator/resource"
	"skiff/orchestrator/rollout"
)

// claim takes in the orphans that rs's selector matches, and lets go of the
// Pods of rs that it matches no longer.
func (r *run) claim(ctx context.Context, rs *appsv1.ReplicaSet) error {
	pods, err := r.view(rs)
	if err != nil {
		return err
	}
	selector := rollout.Selector(rs.Spec.Selector)
	var orphans, strangers []*corev1.Pod
	for _, pod := range pods {
		matches := selector.Matches(labels.Set(pod.Labels))
		switch {
		case metav1.IsControlledBy(pod, rs) && !matches:
			strangers = append(strangers, pod)
		case metav1.GetControllerOfNoCopy(pod) == nil && matches && resource.IsActive(pod):
			orphans = append(orphans, pod)
		}
	}
	return errors.Join(r.release(ctx, rs, strangers), r.adopt(ctx, rs, orphans))
}

// adopt asks the API first whether rs is still wanted: the informer may not
// show yet that it was deleted, or replaced by another of the same name.
func (r *run) adopt(ctx context.Context, rs *appsv1.ReplicaSet, orphans []*corev1.Pod) error {
	if len(orphans) == 0 || rs.DeletionTimestamp != nil {
		return nil
	}
	fresh, err := r.client.AppsV1().ReplicaSets(rs.Namespace).Get(ctx, rs.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read replica set anew: %w", err)
	}
	if fresh.UID != rs.UID || fresh.DeletionTimestamp != nil {
		return nil
	}
	var errs []error
	for _, pod := range orphans {
		owners := append(slices.Clone(pod.OwnerReferences), *metav1.NewControllerRef(rs, kind))
		errs = append(errs, r.setOwners(ctx, pod, owners))
	}
	return errors.Join(errs...)
}

func (r *run) release(ctx context.Context, rs *appsv1.ReplicaSet, strangers []*corev1.Pod) error {
	var errs []error
	for _, pod := range strangers {
		owners := slices.DeleteFunc(slices.Clone(pod.OwnerReferences), func(ref metav1.OwnerReference) bool {
			return ref.UID == rs.UID
		})
		errs = append(errs, r.setOwners(ctx, pod, owners))
	}
	return errors.Join(errs...)
}

func (r *run) setOwners(ctx context.Context, pod *corev1.Pod, owners []metav1.OwnerReference) error {
	changed := pod.DeepCopy()
	changed.OwnerReferences = owners
	written, err := r.client.CoreV1().Pods(pod.Namespace).Update(ctx, changed, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("write owner of pod %s: %w", pod.Name, err)
	}
	r.podWrites.Updated(pod, written)
	return nil
}
