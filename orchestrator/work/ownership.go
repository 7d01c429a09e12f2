package work

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Ownership is what a controller has a right to: the objects of its namespace that
// its selector matches and that are nobody else's.
type Ownership[O metav1.Object, T interface {
	metav1.Object
	DeepCopy() T
}] struct {
	Owner     O
	Kind      schema.GroupVersionKind // of the owner
	Fresh     func(ctx context.Context, name string, opts metav1.GetOptions) (O, error)
	Selector  labels.Selector
	Adoptable func(T) bool // says whether an orphan is worth having
	Update    func(ctx context.Context, was, changed T) (T, error)
}

// Settle takes in the orphans among all, lets go of what the selector matches no
// longer, and gives what is the owner's then.
func (o Ownership[O, T]) Settle(ctx context.Context, all []T) ([]T, error) {
	var own, strangers, orphans []T
	for _, obj := range all {
		matches := o.Selector.Matches(labels.Set(obj.GetLabels()))
		switch {
		case metav1.IsControlledBy(obj, o.Owner) && matches:
			own = append(own, obj)
		case metav1.IsControlledBy(obj, o.Owner):
			strangers = append(strangers, obj)
		case metav1.GetControllerOfNoCopy(obj) == nil && matches && o.Adoptable(obj):
			orphans = append(orphans, obj)
		}
	}
	_, releaseErr := o.setOwners(ctx, strangers, func(refs []metav1.OwnerReference) []metav1.OwnerReference {
		return slices.DeleteFunc(refs, func(ref metav1.OwnerReference) bool { return ref.UID == o.Owner.GetUID() })
	})
	adopted, adoptErr := o.adopt(ctx, orphans)
	return append(own, adopted...), errors.Join(releaseErr, adoptErr)
}

// adopt asks the API first whether the owner is still wanted: the informer may
// not show yet that it was deleted, or replaced by another of the same name.
func (o Ownership[O, T]) adopt(ctx context.Context, orphans []T) ([]T, error) {
	if len(orphans) == 0 || o.Owner.GetDeletionTimestamp() != nil {
		return nil, nil
	}
	fresh, err := o.Fresh(ctx, o.Owner.GetName(), metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read %s %s anew: %w", o.Kind.Kind, o.Owner.GetName(), err)
	case fresh.GetUID() != o.Owner.GetUID() || fresh.GetDeletionTimestamp() != nil:
		return nil, nil
	}
	return o.setOwners(ctx, orphans, func(refs []metav1.OwnerReference) []metav1.OwnerReference {
		return append(refs, *metav1.NewControllerRef(o.Owner, o.Kind))
	})
}

// setOwners gives those that are still there.
func (o Ownership[O, T]) setOwners(ctx context.Context, all []T, change func([]metav1.OwnerReference) []metav1.OwnerReference) ([]T, error) {
	var written []T
	var errs []error
	for _, obj := range all {
		changed := obj.DeepCopy()
		changed.SetOwnerReferences(change(changed.GetOwnerReferences()))
		switch now, err := o.Update(ctx, obj, changed); {
		case err == nil:
			written = append(written, now)
		case !apierrors.IsNotFound(err):
			errs = append(errs, err)
		}
	}
	return written, errors.Join(errs...)
}
