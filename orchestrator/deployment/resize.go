package deployment

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/orchestrator/resource"
	"skiff/orchestrator/rollout"
)

// resize carries out the steps in order and stops at the first that fails: what
// comes next is decided anew from what is then there.
func (r *run) resize(ctx context.Context, ro *round, steps []rollout.Resize) error {
	for _, s := range steps {
		before := rollout.Size(s.ReplicaSet)
		changed := s.ReplicaSet.DeepCopy()
		changed.Spec.Replicas = &s.Replicas
		rollout.SetReplicasAnnotations(ro.d, changed)
		written, err := r.updateSet(ctx, s.ReplicaSet, changed)
		if err != nil {
			return err
		}
		ro.replace(s.ReplicaSet, written)
		if before != s.Replicas {
			r.noteScaled(ro.d, written, before, s.Replicas)
		}
	}
	return nil
}

func (ro *round) replace(was, now *appsv1.ReplicaSet) {
	if ro.current == was {
		ro.current = now
		return
	}
	if i := slices.Index(ro.old, was); i >= 0 {
		ro.old[i] = now
	}
}

func (r *run) noteScaled(d *appsv1.Deployment, rs *appsv1.ReplicaSet, from, to int32) {
	direction := "up"
	if to < from {
		direction = "down"
	}
	r.events.Eventf(d, corev1.EventTypeNormal, "ScalingReplicaSet", "Scaled %s replica set %s from %d to %d", direction, rs.Name, from, to)
}

// podsRemain says whether a Pod of d may still run, by what the ReplicaSets
// report and by the Pods themselves: one may have lost its ReplicaSet.
func (r *run) podsRemain(ro *round) (bool, error) {
	sets := rollout.All(ro.current, ro.old)
	if !rollout.Settled(sets) || slices.ContainsFunc(sets, hasPods) {
		return true, nil
	}
	pods, err := r.pods.Lister().Pods(ro.d.Namespace).List(rollout.Selector(ro.d.Spec.Selector))
	if err != nil {
		return false, fmt.Errorf("list pods: %w", err)
	}
	for _, pod := range pods {
		ref := metav1.GetControllerOfNoCopy(pod)
		if resource.IsFinished(pod) || ref == nil || ref.Kind != "ReplicaSet" {
			continue
		}
		owner, err := r.sets.Lister().ReplicaSets(pod.Namespace).Get(ref.Name)
		if err != nil && !apierrors.IsNotFound(err) {
			return false, fmt.Errorf("read owner of pod: %w", err)
		}
		if err != nil || owner.UID != ref.UID || metav1.IsControlledBy(owner, ro.d) {
			return true, nil
		}
	}
	return false, nil
}

func hasPods(rs *appsv1.ReplicaSet) bool {
	terminating := rs.Status.TerminatingReplicas
	return rs.Status.Replicas > 0 || terminating != nil && *terminating > 0
}

// clean deletes the old ReplicaSets that the history has no room for.
func (r *run) clean(ctx context.Context, ro *round) error {
	for _, rs := range rollout.Outlived(ro.d, ro.old) {
		err := r.client.AppsV1().ReplicaSets(rs.Namespace).Delete(ctx, rs.Name, metav1.DeleteOptions{
			Preconditions: &metav1.Preconditions{UID: &rs.UID, ResourceVersion: &rs.ResourceVersion},
		})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("delete replica set %s: %w", rs.Name, err)
		}
		r.setWrites.Deleted(rs, r.clock.Now())
	}
	return nil
}
