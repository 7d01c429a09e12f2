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
)

// writesAlone says whether Pods of two revisions must not run side by side: they
// write to a claim that is meant for one at a time. On a cluster the volume's
// attachment to a node would keep them apart, or a database's own lock would
// stop the rollout.
func (r *run) writesAlone(ctx context.Context, d *appsv1.Deployment) (bool, error) {
	spec := &d.Spec.Template.Spec
	for _, v := range spec.Volumes {
		if !resource.WritesClaim(spec, v) {
			continue
		}
		c, err := r.client.CoreV1().PersistentVolumeClaims(d.Namespace).Get(ctx, v.PersistentVolumeClaim.ClaimName, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, nil // its Pods wait for it anyway
		}
		if err != nil {
			return false, fmt.Errorf("get claim of deployment: %w", err)
		}
		if !slices.Contains(c.Spec.AccessModes, corev1.ReadWriteMany) {
			return true, nil
		}
	}
	return false, nil
}
