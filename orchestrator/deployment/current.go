package deployment

import (
	"context"
	"fmt"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"skiff/orchestrator/rollout"
	"skiff/orchestrator/rollout/recent"
	"skiff/orchestrator/work"
)

// errNameLeaving: the event that tells that it is gone wakes the Deployment.
var errNameLeaving = fmt.Errorf("the one of a deleted deployment is still there: %w", work.ErrSoon)

// ensureCurrent sees to it that there is a ReplicaSet with d's template, and
// that it is the newest revision.
func (r *run) ensureCurrent(ctx context.Context, ro *round) error {
	if ro.current == nil {
		return r.create(ctx, ro)
	}
	return r.revise(ctx, ro)
}

// revise makes the current ReplicaSet, which was an old one before the user
// went back to its template, the newest revision, with d's annotations.
func (r *run) revise(ctx context.Context, ro *round) error {
	if ro.current == nil {
		return nil
	}
	changed := ro.current.DeepCopy()
	isChanged := rollout.CopyAnnotations(ro.d, changed)
	isChanged = rollout.SetRevision(changed, rollout.NextRevision(ro.old)) || isChanged
	if changed.Spec.MinReadySeconds != ro.d.Spec.MinReadySeconds {
		changed.Spec.MinReadySeconds = ro.d.Spec.MinReadySeconds
		isChanged = true
	}
	if isChanged {
		written, err := r.updateSet(ctx, ro.current, changed)
		if err != nil {
			return err
		}
		ro.current = written
	}
	ro.revision = ro.current.Annotations[rollout.RevisionAnnotation]
	isNoted := rollout.Condition(&ro.d.Status, appsv1.DeploymentProgressing) != nil
	if !isNoted || !ro.d.Spec.Paused && rollout.Revision(ro.d) != rollout.Revision(ro.current) {
		rollout.NoteFound(ro.d, &ro.d.Status, ro.current.Name, ro.now)
	}
	return nil
}

// create makes the ReplicaSet of d's template. Its name follows from the
// template, so that a second attempt meets the first one's.
func (r *run) create(ctx context.Context, ro *round) error {
	rs := newReplicaSet(ro.d, ro.old)
	created, err := r.client.AppsV1().ReplicaSets(rs.Namespace).Create(ctx, rs, metav1.CreateOptions{})
	switch {
	case apierrors.IsAlreadyExists(err):
		return r.takeExisting(ctx, ro, rs.Name)
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return fmt.Errorf("create replica set: %w", err)
	case err != nil:
		message := rollout.NoteCreateError(ro.d, &ro.d.Status, rs.Name, err, ro.now)
		r.events.Event(ro.d, corev1.EventTypeWarning, rollout.ReasonCreateError, message)
		return fmt.Errorf("create replica set: %w", err)
	}
	r.noteSet(ro, created)
	if size := rollout.Size(created); size > 0 {
		r.noteScaled(ro.d, created, 0, size)
	}
	rollout.NoteCreated(ro.d, &ro.d.Status, created.Name, ro.now)
	return nil
}

// takeExisting looks at what has the new ReplicaSet's name already.
func (r *run) takeExisting(ctx context.Context, ro *round, name string) error {
	existing, err := r.client.AppsV1().ReplicaSets(ro.d.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read existing replica set: %w", err)
	}
	ref := metav1.GetControllerOfNoCopy(existing)
	switch {
	case existing.DeletionTimestamp != nil,
		ref != nil && ref.Kind == kind.Kind && ref.Name == ro.d.Name && ref.UID != ro.d.UID:
		// It goes with the former Deployment of this name. Waiting for that
		// gives the new one the same names as before.
		return fmt.Errorf("create replica set %s: %w", name, errNameLeaving)
	case ref != nil && ref.UID == ro.d.UID && rollout.SameTemplate(&existing.Spec.Template, &ro.d.Spec.Template):
		r.noteSet(ro, existing)
		return nil
	default:
		var collisions int32
		if ro.d.Status.CollisionCount != nil {
			collisions = *ro.d.Status.CollisionCount
		}
		collisions++
		ro.d.Status.CollisionCount = &collisions
		return fmt.Errorf("create replica set %s: the name belongs to another one", name)
	}
}

func (r *run) noteSet(ro *round, rs *appsv1.ReplicaSet) {
	ro.current = rs
	ro.revision = rs.Annotations[rollout.RevisionAnnotation]
	r.setWrites.Created(rs, r.clock.Now())
	// Should the informer never show it, it is missed then.
	r.queue.AddAfter(cache.MetaObjectToName(ro.d), recent.Patience)
}

func newReplicaSet(d *appsv1.Deployment, old []*appsv1.ReplicaSet) *appsv1.ReplicaSet {
	hash := rollout.TemplateHash(&d.Spec.Template, d.Status.CollisionCount)
	template := *d.Spec.Template.DeepCopy()
	template.Labels = withLabel(template.Labels, appsv1.DefaultDeploymentUniqueLabelKey, hash)
	selector := d.Spec.Selector.DeepCopy()
	selector.MatchLabels = withLabel(selector.MatchLabels, appsv1.DefaultDeploymentUniqueLabelKey, hash)
	size := rollout.NewReplicas(d, nil, old)
	rs := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Name:            d.Name + "-" + hash,
			Namespace:       d.Namespace,
			Labels:          maps.Clone(template.Labels),
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(d, kind)},
		},
		Spec: appsv1.ReplicaSetSpec{
			Replicas:        &size,
			MinReadySeconds: d.Spec.MinReadySeconds,
			Selector:        selector,
			Template:        template,
		},
	}
	rollout.CopyAnnotations(d, rs)
	rollout.SetRevision(rs, rollout.NextRevision(old))
	rollout.SetReplicasAnnotations(d, rs)
	return rs
}

func withLabel(labels map[string]string, key, value string) map[string]string {
	labels = maps.Clone(labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[key] = value
	return labels
}
