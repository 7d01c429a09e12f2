package node

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"skiff/orchestrator/resource"
	"skiff/orchestrator/scheduling"
	"skiff/runtime/container"
)

// claimsHold says why the Pod must wait for its claims; nil if it need not.
func (w *Worker) claimsHold(pod *corev1.Pod) *hold {
	for i := range pod.Spec.Volumes {
		if why := w.claimHold(pod, &pod.Spec.Volumes[i]); why != "" {
			return &hold{corev1.PodReasonUnschedulable, scheduling.Unclaimed(why)}
		}
	}
	return nil
}

func (w *Worker) claimHold(pod *corev1.Pod, v *corev1.Volume) string {
	source := resource.ClaimOf(pod, v)
	if source == nil {
		return ""
	}
	c, err := w.readClaim(pod, source)
	switch {
	case err != nil && v.Ephemeral != nil:
		return fmt.Sprintf("waiting for ephemeral volume controller to create the persistentvolumeclaim %q", source.ClaimName)
	case err != nil:
		return fmt.Sprintf("persistentvolumeclaim %q not found", source.ClaimName)
	case c.DeletionTimestamp != nil:
		return fmt.Sprintf("persistentvolumeclaim %q is being deleted", source.ClaimName)
	case v.Ephemeral != nil && !metav1.IsControlledBy(c, pod):
		return notOwner(pod, c).Error()
	case c.Status.Phase != corev1.ClaimBound:
		return "pod has unbound immediate PersistentVolumeClaims"
	}
	return ""
}

// claimsAlone names the Pod's claims that only one Pod may use at a time.
func (w *Worker) claimsAlone(pod *corev1.Pod) []string {
	var names []string
	for i := range pod.Spec.Volumes {
		source := resource.ClaimOf(pod, &pod.Spec.Volumes[i])
		if source == nil {
			continue
		}
		if c, err := w.readClaim(pod, source); err == nil && resource.ForOnePod(c) {
			names = append(names, source.ClaimName)
		}
	}
	return names
}

func (w *Worker) readClaim(pod *corev1.Pod, source *corev1.PersistentVolumeClaimVolumeSource) (*corev1.PersistentVolumeClaim, error) {
	return w.Factory.PersistentVolumeClaims().Lister().PersistentVolumeClaims(pod.Namespace).Get(source.ClaimName)
}

// notOwner is why a Pod does not get a claim that happens to be called as its own
// would be.
func notOwner(pod *corev1.Pod, c *corev1.PersistentVolumeClaim) error {
	return fmt.Errorf("PVC %s/%s was not created for pod %s/%s (pod is not owner)", c.Namespace, c.Name, pod.Namespace, pod.Name)
}

// giving says how much of a claim's volume is given to the Pod's group before its
// first container. Later, as when skiff comes back to Pods that run, what they
// have made of it stays.
func (s *state) giving() container.Giving {
	sc := s.pod.Spec.SecurityContext
	begun := slices.ContainsFunc(s.members(), func(u *unit) bool { return u.cur != nil })
	switch {
	case begun || sc == nil || sc.FSGroup == nil:
		return ""
	case sc.FSGroupChangePolicy != nil && *sc.FSGroupChangePolicy == corev1.FSGroupChangeOnRootMismatch:
		return container.GiveMismatched
	}
	return container.GiveAll
}

// claimed makes the engine's volume of a claim, at the claim's first use.
func (p *pod) claimed(ctx context.Context, pod *corev1.Pod, of *corev1.Volume, give container.Giving) (container.Mount, error) {
	source := resource.ClaimOf(pod, of)
	c, err := p.Client.CoreV1().PersistentVolumeClaims(pod.Namespace).Get(ctx, source.ClaimName, metav1.GetOptions{})
	if err != nil {
		return container.Mount{}, missing(err, "persistentvolumeclaim", source.ClaimName)
	}
	if of.Ephemeral != nil && !metav1.IsControlledBy(c, pod) {
		return container.Mount{}, notOwner(pod, c)
	}
	v := container.Volume{Name: resource.VolumeName(c), Claim: c.Namespace + "/" + c.Name, Group: fsGroup(pod), Give: give}
	return container.Mount{Volume: v.Name, ReadOnly: source.ReadOnly}, p.Engine.CreateVolume(ctx, identity(pod), v)
}

// claimHandler has Pods looked at again that may wait for a claim.
func (w *Worker) claimHandler(ctx context.Context) cache.ResourceEventHandler {
	changed := func(any) {
		select {
		case w.claims <- struct{}{}:
		case <-ctx.Done():
		}
	}
	return cache.ResourceEventHandlerFuncs{AddFunc: changed, UpdateFunc: func(_, obj any) { changed(obj) }, DeleteFunc: changed}
}
