package claim

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"skiff/orchestrator/resource"
)

// provide makes a claim that nobody has made, for the Pod whose volume it is to be.
// It belongs to that Pod: with the Pod it goes.
func (r *run) provide(ctx context.Context, k key) error {
	pods, err := r.pods.Lister().Pods(k.Namespace).List(labels.Everything())
	if err != nil {
		return err
	}
	for _, pod := range pods {
		for i := range pod.Spec.Volumes {
			if c := ephemeral(pod, &pod.Spec.Volumes[i]); c != nil && c.Name == k.Name && pod.DeletionTimestamp == nil {
				return r.create(ctx, pod, &pod.Spec.Volumes[i], c)
			}
		}
	}
	return nil
}

func (r *run) create(ctx context.Context, pod *corev1.Pod, v *corev1.Volume, c *corev1.PersistentVolumeClaim) error {
	_, err := r.client.CoreV1().PersistentVolumeClaims(pod.Namespace).Create(ctx, c, metav1.CreateOptions{})
	if err == nil || apierrors.IsAlreadyExists(err) {
		return nil
	}
	r.events.Eventf(pod, corev1.EventTypeWarning, "FailedBinding", "ephemeral volume %s: %v", v.Name, err)
	return fmt.Errorf("create claim of Pod %s: %w", pod.Name, err)
}

// ephemeral is the claim that a Pod's volume asks for; nil if it asks for none.
func ephemeral(pod *corev1.Pod, v *corev1.Volume) *corev1.PersistentVolumeClaim {
	if v.Ephemeral == nil {
		return nil
	}
	template := v.Ephemeral.VolumeClaimTemplate.DeepCopy()
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{
			Name: resource.ClaimOf(pod, v).ClaimName, Labels: template.Labels, Annotations: template.Annotations,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(pod, corev1.SchemeGroupVersion.WithKind("Pod"))},
		},
		Spec: template.Spec,
	}
}
