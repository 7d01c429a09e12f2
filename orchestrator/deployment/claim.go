package deployment

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"skiff/orchestrator/rollout"
	"skiff/orchestrator/work"
)

// claim gives d's ReplicaSets, adopted ones included.
func (r *run) claim(ctx context.Context, d *appsv1.Deployment) ([]*appsv1.ReplicaSet, error) {
	sets, err := r.setWrites.View(func() ([]*appsv1.ReplicaSet, error) {
		return r.sets.Lister().ReplicaSets(d.Namespace).List(labels.Everything())
	}, d.UID, r.clock.Now())
	if err != nil {
		return nil, fmt.Errorf("list replica sets: %w", err)
	}
	return work.Ownership[*appsv1.Deployment, *appsv1.ReplicaSet]{
		Owner:     d,
		Kind:      kind,
		Fresh:     r.client.AppsV1().Deployments(d.Namespace).Get,
		Selector:  rollout.Selector(d.Spec.Selector),
		Adoptable: func(rs *appsv1.ReplicaSet) bool { return rs.DeletionTimestamp == nil },
		Update:    r.updateSet,
	}.Settle(ctx, sets)
}

func (r *run) updateSet(ctx context.Context, was, changed *appsv1.ReplicaSet) (*appsv1.ReplicaSet, error) {
	written, err := r.client.AppsV1().ReplicaSets(was.Namespace).Update(ctx, changed, metav1.UpdateOptions{})
	if err != nil {
		return nil, fmt.Errorf("update replica set %s: %w", was.Name, err)
	}
	r.setWrites.Updated(was, written)
	return written, nil
}
