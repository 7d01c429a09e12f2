package gc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
)

// kindOf is the kind that an owner reference names, nil if it is not served.
func (c *Controller) kindOf(ref metav1.OwnerReference) *kind {
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	if err != nil {
		return nil
	}
	return c.kinds[schema.GroupKind{Group: gv.Group, Kind: ref.Kind}]
}

// ownerName is where the owner of m is looked for: an owner with a namespace is
// in its dependent's own.
func ownerName(owner *kind, m metav1.Object, ref metav1.OwnerReference) cache.ObjectName {
	if owner.namespaced {
		return cache.NewObjectName(m.GetNamespace(), ref.Name)
	}
	return cache.NewObjectName("", ref.Name)
}

// ownersOf finds out about the owners of an object. That one is gone is only
// believed when the API says so: an informer may not have seen it yet.
func (r *collector) ownersOf(ctx context.Context, i item, m metav1.Object) (owners, error) {
	var o owners
	for _, ref := range m.GetOwnerReferences() {
		k := r.kindOf(ref)
		if k == nil || k.namespaced && !i.kind.namespaced {
			// Whether such an owner exists cannot be known: it is of a kind that
			// is not served, or in no namespace that the reference could name.
			o.solid = append(o.solid, ref)
			continue
		}
		owner, err := r.owner(ctx, k, ownerName(k, m, ref), ref.UID)
		switch {
		case err != nil:
			return o, err
		case owner == nil:
			o.gone = append(o.gone, ref)
		case waitsForDependents(owner):
			o.waiting = append(o.waiting, ref)
		default:
			o.solid = append(o.solid, ref)
		}
	}
	return o, nil
}

// owner is the object of this name and UID, nil where the API has none.
func (r *collector) owner(ctx context.Context, k *kind, name cache.ObjectName, uid types.UID) (metav1.Object, error) {
	if m := r.cached(k, name); m != nil && m.GetUID() == uid {
		return m, nil
	}
	live, err := r.objects(k, name.Namespace).Get(ctx, name.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && live.UID != uid {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return live, nil
}

func (c *Controller) objects(k *kind, namespace string) metadata.ResourceInterface {
	return c.metadata.Resource(k.GroupVersionResource).Namespace(namespace)
}

// remove deletes the very object that was decided on, as it was then.
func (r *collector) remove(ctx context.Context, i item, m metav1.Object, policy metav1.DeletionPropagation) error {
	err := r.objects(i.kind, i.name.Namespace).Delete(ctx, i.name.Name, metav1.DeleteOptions{
		Preconditions:     &metav1.Preconditions{UID: &i.uid, ResourceVersion: ptr.To(m.GetResourceVersion())},
		PropagationPolicy: &policy,
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete %s: %w", i, err)
	}
	return nil
}

func (r *collector) setOwners(ctx context.Context, i item, m metav1.Object, refs []metav1.OwnerReference) error {
	return r.patch(ctx, i, m, map[string]any{"ownerReferences": refs})
}

func (r *collector) dropFinalizer(ctx context.Context, i item, m metav1.Object, finalizer string) error {
	left := slices.DeleteFunc(slices.Clone(m.GetFinalizers()), func(f string) bool { return f == finalizer })
	return r.patch(ctx, i, m, map[string]any{"finalizers": left})
}

// patch changes metadata of the object that m is, unless it has changed since.
func (r *collector) patch(ctx context.Context, i item, m metav1.Object, change map[string]any) error {
	change["uid"] = m.GetUID()
	change["resourceVersion"] = m.GetResourceVersion()
	body, err := json.Marshal(map[string]any{"metadata": change})
	if err != nil {
		return fmt.Errorf("encode patch: %w", err)
	}
	_, err = r.objects(i.kind, i.name.Namespace).Patch(ctx, i.name.Name, types.MergePatchType, body, metav1.PatchOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("patch %s: %w", i, err)
	}
	return nil
}

// orphan takes the object's name off its dependents. They are read from the API:
// one that the informers have not seen yet would be collected afterwards.
func (r *collector) orphan(ctx context.Context, i item) error {
	var errs []error
	for _, k := range r.kinds {
		if i.kind.namespaced && !k.namespaced {
			continue
		}
		list, err := r.objects(k, i.name.Namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return fmt.Errorf("list %s: %w", k.Resource, err)
		}
		for n := range list.Items {
			d := &list.Items[n]
			left := without(d.OwnerReferences, i.uid)
			if len(left) == len(d.OwnerReferences) {
				continue
			}
			errs = append(errs, r.setOwners(ctx, item{k, cache.MetaObjectToName(d), d.UID}, d, left))
		}
	}
	return errors.Join(errs...)
}

// unblockCircle is for objects that own each other and all wait for the others:
// m no longer holds up its owners where one of its dependents waits as well.
func (r *collector) unblockCircle(ctx context.Context, i item, m metav1.Object, dependents []dependent) error {
	if !slices.ContainsFunc(dependents, func(d dependent) bool { return waitsForDependents(d.meta) }) {
		return nil
	}
	refs := slices.Clone(m.GetOwnerReferences())
	blocking := false
	for n := range refs {
		blocking = blocking || ptr.Deref(refs[n].BlockOwnerDeletion, false)
		refs[n].BlockOwnerDeletion = ptr.To(false)
	}
	if !blocking {
		return nil
	}
	return r.setOwners(ctx, i, m, refs)
}
