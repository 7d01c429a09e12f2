package replicaset

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/orchestrator/resource"
	"skiff/orchestrator/rollout"
	"skiff/orchestrator/work"
)

// claim settles which Pods are rs's.
func (r *run) claim(ctx context.Context, rs *appsv1.ReplicaSet) error {
	pods, err := r.view(rs)
	if err != nil {
		return err
	}
	_, err = work.Ownership[*appsv1.ReplicaSet, *corev1.Pod]{
		Owner:     rs,
		Kind:      kind,
		Fresh:     r.client.AppsV1().ReplicaSets(rs.Namespace).Get,
		Selector:  rollout.Selector(rs.Spec.Selector),
		Adoptable: resource.IsActive,
		Update:    r.updatePod,
	}.Settle(ctx, pods)
	return err
}

func (r *run) updatePod(ctx context.Context, was, changed *corev1.Pod) (*corev1.Pod, error) {
	written, err := r.client.CoreV1().Pods(was.Namespace).Update(ctx, changed, metav1.UpdateOptions{})
	if err != nil {
		return nil, fmt.Errorf("update pod %s: %w", was.Name, err)
	}
	r.podWrites.Updated(was, written)
	return written, nil
}
