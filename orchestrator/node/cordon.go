package node

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// withCordon is the node with the taint that goes with "kubectl cordon", or
// without it; nil where the node is as it should be.
func withCordon(node *corev1.Node, now time.Time) *corev1.Node {
	cordon := func(t corev1.Taint) bool {
		return t.Key == corev1.TaintNodeUnschedulable && t.Effect == corev1.TaintEffectNoSchedule
	}
	if slices.ContainsFunc(node.Spec.Taints, cordon) == node.Spec.Unschedulable {
		return nil
	}
	next := node.DeepCopy()
	if node.Spec.Unschedulable {
		at := second(now)
		next.Spec.Taints = append(next.Spec.Taints, corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule, TimeAdded: &at})
	} else {
		next.Spec.Taints = slices.DeleteFunc(next.Spec.Taints, cordon)
	}
	return next
}

// keepCordon writes that taint. Where somebody else was faster, their change
// brings the next try.
func (w *Worker) keepCordon(ctx context.Context, node *corev1.Node) {
	next := withCordon(node, time.Now())
	if next == nil {
		return
	}
	w.tasks.Go(func() {
		_ = w.insist(ctx, "the node's taint is not kept", func() error {
			_, err := w.Client.CoreV1().Nodes().Update(ctx, next, metav1.UpdateOptions{})
			return unlessChanged(err)
		})
	})
}
