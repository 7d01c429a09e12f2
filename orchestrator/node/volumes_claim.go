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

// claims lists the names of the claims that the Pod mounts.
func claims(pod *corev1.Pod) []string {
	var out []string
	for _, v := range pod.Spec.Volumes {
		if v.PersistentVolumeClaim != nil {
			out = append(out, v.PersistentVolumeClaim.ClaimName)
		}
	}
	return out
}

// claimsHold says why the Pod must wait for its claims; nil if it need not.
func (w *Worker) claimsHold(pod *corev1.Pod) *hold {
	for _, name := range claims(pod) {
		c, err := w.Factory.PersistentVolumeClaims().Lister().PersistentVolumeClaims(pod.Namespace).Get(name)
		switch {
		case err != nil:
			return &hold{corev1.PodReasonUnschedulable, scheduling.Unclaimed(fmt.Sprintf("persistentvolumeclaim %q not found", name))}
		case c.DeletionTimestamp != nil:
			return &hold{corev1.PodReasonUnschedulable, scheduling.Unclaimed(fmt.Sprintf("persistentvolumeclaim %q is being deleted", name))}
		case c.Status.Phase != corev1.ClaimBound:
			return &hold{corev1.PodReasonUnschedulable, scheduling.Unclaimed("pod has unbound immediate PersistentVolumeClaims")}
		}
	}
	return nil
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
func (p *pod) claimed(ctx context.Context, pod *corev1.Pod, source *corev1.PersistentVolumeClaimVolumeSource, give container.Giving) (container.Mount, error) {
	c, err := p.Client.CoreV1().PersistentVolumeClaims(pod.Namespace).Get(ctx, source.ClaimName, metav1.GetOptions{})
	if err != nil {
		return container.Mount{}, missing(err, "persistentvolumeclaim", source.ClaimName)
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
