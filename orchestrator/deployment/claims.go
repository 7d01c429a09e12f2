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

// runsAlone says whether Pods of two revisions must not run side by side: they
// write to a claim that is meant for one at a time, or have one that is for one
// Pod, so that the new one would wait for the old one and the rollout for both. On
// a cluster the volume's attachment to a node would keep them apart, or a
// database's own lock would stop the rollout.
func (r *run) runsAlone(ctx context.Context, d *appsv1.Deployment) (bool, error) {
	spec := &d.Spec.Template.Spec
	for _, v := range spec.Volumes {
		if v.PersistentVolumeClaim == nil {
			continue
		}
		writes := resource.WritesClaim(spec, v)
		c, err := r.client.CoreV1().PersistentVolumeClaims(d.Namespace).Get(ctx, v.PersistentVolumeClaim.ClaimName, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			if writes {
				return true, nil // its Pods wait for it anyway
			}
			continue
		}
		if err != nil {
			return false, fmt.Errorf("get claim of deployment: %w", err)
		}
		if resource.ForOnePod(c) || writes && !slices.Contains(c.Spec.AccessModes, corev1.ReadWriteMany) {
			return true, nil
		}
	}
	return false, nil
}
