package gc

import (
	"context"
	"errors"
	"fmt"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"skiff/orchestrator/work"
)

const (
	byOwner          = "skiff/owner"
	collectorWorkers = 8
)

// item is one object to look at. The UID tells it from an earlier or later
// object of the same name.
type item struct {
	kind *kind
	name cache.ObjectName
	uid  types.UID
}

func (i item) String() string { return i.kind.Resource + " " + i.name.String() }

type collector struct {
	*Controller
	queue *work.Queue[item]
}

func (c *Controller) runCollector(ctx context.Context) error {
	r := &collector{Controller: c, queue: work.NewQueue[item](c.log, nil)}
	for _, k := range c.kinds {
		r.queue.Follow(k.informer, r.handler(k))
	}
	return r.queue.Run(ctx, collectorWorkers, r.collect)
}

// handler turns what happens to the objects of a kind into looks at those that
// it matters to: the object, those that it owns and those that own it.
func (r *collector) handler(k *kind) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) {
			if m := metaOf(obj); m != nil && (len(m.GetOwnerReferences()) > 0 || m.GetDeletionTimestamp() != nil) {
				r.look(k, m)
			}
		},
		UpdateFunc: func(before, after any) {
			old, m := metaOf(before), metaOf(after)
			if old == nil || m == nil || sameForOwners(old, m) {
				return
			}
			r.look(k, m)
			r.lookAtOwners(old)
			r.lookAtOwners(m)
		},
		DeleteFunc: func(obj any) {
			if m := metaOf(obj); m != nil {
				for _, dependent := range r.dependents(m.GetUID()) {
					r.queue.Add(dependent.item)
				}
				r.lookAtOwners(m)
			}
		},
	}
}

func sameForOwners(a, b metav1.Object) bool {
	return (a.GetDeletionTimestamp() == nil) == (b.GetDeletionTimestamp() == nil) && a.GetUID() == b.GetUID() &&
		apiequality.Semantic.DeepEqual(a.GetOwnerReferences(), b.GetOwnerReferences()) &&
		apiequality.Semantic.DeepEqual(a.GetFinalizers(), b.GetFinalizers())
}

func (r *collector) look(k *kind, m metav1.Object) {
	r.queue.Add(item{kind: k, name: cache.MetaObjectToName(m), uid: m.GetUID()})
}

// lookAtOwners is for owners that wait for their dependents to go.
func (r *collector) lookAtOwners(m metav1.Object) {
	for _, ref := range m.GetOwnerReferences() {
		k := r.kindOf(ref)
		if k == nil {
			continue
		}
		if owner := r.cached(k, ownerName(k, m, ref)); owner != nil && owner.GetUID() == ref.UID && waitsForDependents(owner) {
			r.look(k, owner)
		}
	}
}

// dependent is an object and what it is to one of its owners.
type dependent struct {
	item
	meta metav1.Object
}

// dependents are the known objects that name the owner.
func (r *collector) dependents(owner types.UID) []dependent {
	var all []dependent
	for _, k := range r.kinds {
		objects, err := k.informer.GetIndexer().ByIndex(byOwner, string(owner))
		if err != nil {
			r.log.Error("look up dependents", "kind", k.Resource, "error", err)
			continue
		}
		for _, obj := range objects {
			if m := metaOf(obj); m != nil {
				all = append(all, dependent{item{k, cache.MetaObjectToName(m), m.GetUID()}, m})
			}
		}
	}
	return all
}

// cached is the object that the informers know by this name, nil if none.
func (r *collector) cached(k *kind, name cache.ObjectName) metav1.Object {
	obj, ok, err := k.informer.GetIndexer().GetByKey(name.String())
	if err != nil || !ok {
		return nil
	}
	return metaOf(obj)
}

// collect brings one object one step on.
func (r *collector) collect(ctx context.Context, i item) error {
	m := r.cached(i.kind, i.name)
	if m == nil || m.GetUID() != i.uid {
		return nil
	}
	if m.GetDeletionTimestamp() != nil {
		return r.finish(ctx, i, m)
	}
	owners, err := r.ownersOf(ctx, i, m)
	if err != nil {
		return fmt.Errorf("look up owners of %s: %w", i, err)
	}
	dependents := r.dependents(i.uid)
	switch decide(owners, len(dependents) > 0) {
	case release:
		return r.setOwners(ctx, i, m, owners.solid)
	case removeAfterDependents:
		return errors.Join(r.unblockCircle(ctx, i, m, dependents), r.remove(ctx, i, m, metav1.DeletePropagationForeground))
	case removeNow:
		return r.remove(ctx, i, m, policyOf(m))
	}
	return nil
}

// finish lets go of an object whose deletion waits for its dependents.
func (r *collector) finish(ctx context.Context, i item, m metav1.Object) error {
	if hasFinalizer(m, metav1.FinalizerOrphanDependents) {
		if err := r.orphan(ctx, i); err != nil {
			return fmt.Errorf("orphan dependents of %s: %w", i, err)
		}
		return r.dropFinalizer(ctx, i, m, metav1.FinalizerOrphanDependents)
	}
	if !waitsForDependents(m) {
		return nil
	}
	waiting := false
	for _, d := range r.dependents(i.uid) {
		if !blocks(d.meta, i.uid) {
			continue
		}
		waiting = true
		if d.meta.GetDeletionTimestamp() == nil {
			r.queue.Add(d.item)
		}
	}
	if waiting {
		return nil
	}
	return r.dropFinalizer(ctx, i, m, metav1.FinalizerDeleteDependents)
}

// ownerUIDs indexes an object by those it names as owners.
func ownerUIDs(obj any) ([]string, error) {
	m := metaOf(obj)
	if m == nil {
		return nil, nil
	}
	var uids []string
	for _, ref := range m.GetOwnerReferences() {
		uids = append(uids, string(ref.UID))
	}
	return uids, nil
}

// metaOf is the metadata of an object that a handler was given, nil if unknown.
func metaOf(obj any) metav1.Object {
	m, _ := work.LastState[metav1.Object](obj)
	return m
}
