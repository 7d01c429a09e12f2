package deployment

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"skiff/orchestrator/rollout"
)

// claim gives d's ReplicaSets: it takes in the orphans that d's selector
// matches, and lets go of those of d that it matches no longer.
func (r *run) claim(ctx context.Context, d *appsv1.Deployment) ([]*appsv1.ReplicaSet, error) {
	sets, err := r.setWrites.View(func() ([]*appsv1.ReplicaSet, error) {
		return r.sets.Lister().ReplicaSets(d.Namespace).List(labels.Everything())
	}, d.UID, r.clock.Now())
	if err != nil {
		return nil, fmt.Errorf("list replica sets: %w", err)
	}
	var own, orphans []*appsv1.ReplicaSet
	for _, rs := range sets {
		matches := rollout.Selector(d.Spec.Selector).Matches(labels.Set(rs.Labels))
		switch {
		case metav1.IsControlledBy(rs, d) && matches:
			own = append(own, rs)
		case metav1.IsControlledBy(rs, d):
			if _, err := r.release(ctx, d, rs); err != nil {
				return nil, err
			}
		case metav1.GetControllerOfNoCopy(rs) == nil && matches && rs.DeletionTimestamp == nil:
			orphans = append(orphans, rs)
		}
	}
	adopted, err := r.adopt(ctx, d, orphans)
	return append(own, adopted...), err
}

// adopt asks the API first whether d is still wanted: the informer may not show
// yet that it was deleted, or replaced by another of the same name.
func (r *run) adopt(ctx context.Context, d *appsv1.Deployment, orphans []*appsv1.ReplicaSet) ([]*appsv1.ReplicaSet, error) {
	if len(orphans) == 0 || d.DeletionTimestamp != nil {
		return nil, nil
	}
	fresh, err := r.client.AppsV1().Deployments(d.Namespace).Get(ctx, d.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read deployment anew: %w", err)
	}
	if fresh.UID != d.UID || fresh.DeletionTimestamp != nil {
		return nil, nil
	}
	var adopted []*appsv1.ReplicaSet
	for _, rs := range orphans {
		changed := rs.DeepCopy()
		changed.OwnerReferences = append(changed.OwnerReferences, *metav1.NewControllerRef(d, kind))
		written, err := r.updateSet(ctx, rs, changed)
		if err != nil {
			return nil, err
		}
		adopted = append(adopted, written)
	}
	return adopted, nil
}

func (r *run) release(ctx context.Context, d *appsv1.Deployment, rs *appsv1.ReplicaSet) (*appsv1.ReplicaSet, error) {
	changed := rs.DeepCopy()
	changed.OwnerReferences = slices.DeleteFunc(changed.OwnerReferences, func(ref metav1.OwnerReference) bool {
		return ref.UID == d.UID
	})
	return r.updateSet(ctx, rs, changed)
}

func (r *run) updateSet(ctx context.Context, was, changed *appsv1.ReplicaSet) (*appsv1.ReplicaSet, error) {
	written, err := r.client.AppsV1().ReplicaSets(was.Namespace).Update(ctx, changed, metav1.UpdateOptions{})
	if err != nil {
		return nil, fmt.Errorf("update replica set %s: %w", was.Name, err)
	}
	r.setWrites.Updated(was, written)
	return written, nil
}
