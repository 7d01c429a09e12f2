package claim

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"

	"skiff/orchestrator/resource"
)

// syncClaim binds a claim, or lets it go once no Pod uses it.
func (r *run) syncClaim(ctx context.Context, k key) error {
	c, err := r.claims.Lister().PersistentVolumeClaims(k.Namespace).Get(k.Name)
	if apierrors.IsNotFound(err) {
		return r.provide(ctx, k)
	}
	if err != nil {
		return err
	}
	if c.DeletionTimestamp != nil {
		return r.letGo(ctx, c)
	}
	switch class := ptr.Deref(c.Spec.StorageClassName, ""); {
	case c.Spec.VolumeName != "":
	case class == "":
		r.events.Event(c, corev1.EventTypeNormal, "FailedBinding", "no persistent volumes available for this claim and no storage class is set")
		return nil
	case class != resource.StorageClass:
		r.events.Eventf(c, corev1.EventTypeWarning, "ProvisioningFailed", "storageclass.storage.k8s.io %q not found", class)
		return nil
	}
	return r.bind(ctx, c)
}

// bind makes the claim's volume and writes into both that they belong together.
func (r *run) bind(ctx context.Context, c *corev1.PersistentVolumeClaim) error {
	_, err := r.client.CoreV1().PersistentVolumes().Create(ctx, volumeOf(c), metav1.CreateOptions{})
	switch {
	case err == nil:
		r.events.Eventf(c, corev1.EventTypeNormal, "ProvisioningSucceeded", "Successfully provisioned volume %s", resource.VolumeName(c))
	case !apierrors.IsAlreadyExists(err):
		return fmt.Errorf("create volume of claim %s: %w", c.Name, err)
	}
	claims := r.client.CoreV1().PersistentVolumeClaims(c.Namespace)
	if c.Spec.VolumeName == "" {
		next := c.DeepCopy()
		next.Spec.VolumeName = resource.VolumeName(c)
		if c, err = claims.Update(ctx, next, metav1.UpdateOptions{}); err != nil {
			return fmt.Errorf("bind claim: %w", err)
		}
	}
	next := c.DeepCopy()
	next.Status.Phase = corev1.ClaimBound
	next.Status.AccessModes = c.Spec.AccessModes
	next.Status.Capacity = corev1.ResourceList{corev1.ResourceStorage: c.Spec.Resources.Requests[corev1.ResourceStorage]}
	if equality.Semantic.DeepEqual(next.Status, c.Status) {
		return nil
	}
	if _, err := claims.UpdateStatus(ctx, next, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("bind claim: %w", err)
	}
	return nil
}

// volumeOf is the volume that a claim gets. Its size is what was asked for: the
// engine's volumes are not bounded.
func volumeOf(c *corev1.PersistentVolumeClaim) *corev1.PersistentVolume {
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{
			Name:        resource.VolumeName(c),
			Annotations: map[string]string{"pv.kubernetes.io/provisioned-by": resource.VolumeDriver},
		},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: c.Spec.Resources.Requests[corev1.ResourceStorage]},
			AccessModes:                   c.Spec.AccessModes,
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete,
			StorageClassName:              ptr.Deref(c.Spec.StorageClassName, ""),
			VolumeMode:                    c.Spec.VolumeMode,
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{
				Driver: resource.VolumeDriver, VolumeHandle: resource.VolumeName(c),
			}},
			ClaimRef: &corev1.ObjectReference{
				APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: c.Namespace, Name: c.Name, UID: c.UID,
			},
		},
	}
}

// letGo takes the protection off a claim that is to go, once no Pod uses it. The
// API is asked itself: a Pod that the informer has not seen yet counts, too.
func (r *run) letGo(ctx context.Context, c *corev1.PersistentVolumeClaim) error {
	if !slices.Contains(c.Finalizers, resource.ClaimProtection) {
		return nil
	}
	pods, err := r.pods.Lister().Pods(c.Namespace).List(labels.Everything())
	if err != nil || slices.ContainsFunc(pods, func(p *corev1.Pod) bool { return uses(p, c) }) {
		return err
	}
	live, err := r.client.CoreV1().Pods(c.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list Pods: %w", err)
	}
	if slices.ContainsFunc(live.Items, func(p corev1.Pod) bool { return uses(&p, c) }) {
		return nil // its end will wake the claim
	}
	next := c.DeepCopy()
	next.Finalizers = slices.DeleteFunc(next.Finalizers, func(f string) bool { return f == resource.ClaimProtection })
	_, err = r.client.CoreV1().PersistentVolumeClaims(c.Namespace).Update(ctx, next, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// uses says whether a Pod that has a place and has not ended mounts a claim. One that
// waits for its place gets none with a claim that is to go, and one that was to be its
// own and is somebody's it does not get. A deleted Pod that has no grace period left
// counts as ended, whatever holds its object: that may wait for the very claim.
func uses(p *corev1.Pod, claim *corev1.PersistentVolumeClaim) bool {
	if p.Spec.NodeName == "" || resource.IsFinished(p) || p.DeletionTimestamp != nil && ptr.Deref(p.DeletionGracePeriodSeconds, 0) == 0 {
		return false
	}
	return slices.ContainsFunc(p.Spec.Volumes, func(v corev1.Volume) bool {
		source := resource.ClaimOf(p, &v)
		return source != nil && source.ClaimName == claim.Name && (v.Ephemeral == nil || metav1.IsControlledBy(claim, p))
	})
}

// syncVolume keeps a volume's phase, and removes it when its claim is gone: the
// engine's volume first, so that what is left of it is known at any moment.
func (r *run) syncVolume(ctx context.Context, k key) error {
	v, err := r.volumes.Lister().Get(k.Name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil || !isOurs(v) {
		return err
	}
	ref := v.Spec.ClaimRef
	c, err := r.client.CoreV1().PersistentVolumeClaims(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	if err == nil && c.UID == ref.UID {
		return r.setPhase(ctx, v, corev1.VolumeBound)
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	if v.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete && v.DeletionTimestamp == nil {
		return r.setPhase(ctx, v, corev1.VolumeReleased)
	}
	return r.remove(ctx, v)
}

func (r *run) setPhase(ctx context.Context, v *corev1.PersistentVolume, phase corev1.PersistentVolumePhase) error {
	if v.Status.Phase == phase {
		return nil
	}
	next := v.DeepCopy()
	next.Status.Phase = phase
	_, err := r.client.CoreV1().PersistentVolumes().UpdateStatus(ctx, next, metav1.UpdateOptions{})
	return err
}

func (r *run) remove(ctx context.Context, v *corev1.PersistentVolume) error {
	if err := r.engine.RemoveVolume(ctx, v.Spec.CSI.VolumeHandle); err != nil {
		return err
	}
	volumes := r.client.CoreV1().PersistentVolumes()
	if slices.Contains(v.Finalizers, resource.VolumeProtection) {
		next := v.DeepCopy()
		next.Finalizers = slices.DeleteFunc(next.Finalizers, func(f string) bool { return f == resource.VolumeProtection })
		if _, err := volumes.Update(ctx, next, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	err := volumes.Delete(ctx, v.Name, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
