package work

import (
	"maps"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

// Dependents are objects that have controllers, as ReplicaSets have Deployments:
// what happens to one wakes its controller, and what happens to an orphan wakes
// all that may want it.
type Dependents[T metav1.Object] struct {
	Queue  *Queue[cache.ObjectName]
	Owner  string // the kind of the controllers that the queue is of
	Writes writes
	Orphan func(T) // adds all that may want it
}

// writes are told of what the informer shows before the queue is, so that who is
// woken sees it.
type writes interface {
	Seen(types.UID)
	Gone(types.UID)
}

// Handler is to follow the informer of the dependents.
func (d Dependents[T]) Handler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { d.added(obj.(T)) },
		UpdateFunc: func(old, obj any) { d.changed(old.(T), obj.(T)) },
		DeleteFunc: func(obj any) {
			if last, ok := LastState[T](obj); ok {
				d.Writes.Gone(last.GetUID())
				d.wakeOwner(last)
			}
		},
	}
}

func (d Dependents[T]) added(obj T) {
	d.Writes.Seen(obj.GetUID())
	if !d.wakeOwner(obj) {
		d.Orphan(obj)
	}
}

// changed wakes the owner, a former one too; and for an orphan all that may want
// it, if that can have changed.
func (d Dependents[T]) changed(old, obj T) {
	ownersChanged := !equality.Semantic.DeepEqual(old.GetOwnerReferences(), obj.GetOwnerReferences())
	if ownersChanged {
		d.wakeOwner(old)
	}
	if !d.wakeOwner(obj) && (ownersChanged || !maps.Equal(old.GetLabels(), obj.GetLabels())) {
		d.Orphan(obj)
	}
}

// wakeOwner says whether the object has a controller, of whatever kind.
func (d Dependents[T]) wakeOwner(obj T) bool {
	ref := metav1.GetControllerOfNoCopy(obj)
	if ref == nil {
		return false
	}
	if ref.Kind == d.Owner {
		d.Queue.Add(cache.NewObjectName(obj.GetNamespace(), ref.Name))
	}
	return true
}
