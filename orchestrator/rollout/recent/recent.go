// Package recent lets a controller see its own writes before its informer does.
// An informer is a few milliseconds late. A controller that decides by what it
// shows alone creates a Pod twice, or shrinks a ReplicaSet that it has shrunk
// already. Here the answers to its writes are kept until the informer has
// caught up, and laid over what the informer shows.
package recent

import (
	"maps"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// Patience is for how long a write is believed that the informer does not show.
// It matters only for an object that was created and removed again by someone
// else while the informer's watch was broken: nothing else ever tells.
const Patience = 30 * time.Second

// Object is a pointer to an API object.
type Object interface {
	metav1.Object
	runtime.Object
}

// Writes are the recent writes of one controller to one kind. The zero value
// holds none. All methods can be called at any time from any goroutine.
type Writes[T Object] struct {
	mu      sync.Mutex // guards all below
	created map[types.UID]creation[T]
	updated map[types.UID]update[T]
	deleted map[types.UID]time.Time
}

type creation[T Object] struct {
	obj T
	at  time.Time
}

// update is the newest answer to an update, and the versions it came after.
// Updates are conditional on the version, so nothing lies between these.
type update[T Object] struct {
	obj        T
	superseded []string
}

// Created notes that obj is what came of a creation.
func (w *Writes[T]) Created(obj T, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.created == nil {
		w.created = map[types.UID]creation[T]{}
	}
	w.created[obj.GetUID()] = creation[T]{obj, now}
}

// Updated notes that obj is what came of an update of base.
func (w *Writes[T]) Updated(base, obj T) {
	if base.GetResourceVersion() == obj.GetResourceVersion() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.updated == nil {
		w.updated = map[types.UID]update[T]{}
	}
	uid := obj.GetUID()
	var superseded []string
	if was, ok := w.updated[uid]; ok && was.obj.GetResourceVersion() == base.GetResourceVersion() {
		superseded = was.superseded
	}
	w.updated[uid] = update[T]{obj, append(superseded, base.GetResourceVersion())}
}

// Deleted notes that obj's deletion was accepted.
func (w *Writes[T]) Deleted(obj T, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.deleted == nil {
		w.deleted = map[types.UID]time.Time{}
	}
	// What was gone before the answer came is never looked at again.
	maps.DeleteFunc(w.deleted, func(_ types.UID, at time.Time) bool { return now.Sub(at) >= Patience })
	w.deleted[obj.GetUID()] = now
}

// Seen notes that the informer has shown the object with that UID.
func (w *Writes[T]) Seen(uid types.UID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.created, uid)
}

// Gone notes that the informer has shown that the object with that UID is gone.
func (w *Writes[T]) Gone(uid types.UID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.created, uid)
	delete(w.updated, uid)
	delete(w.deleted, uid)
}

// Latest is the newest known state of the object that get finds in the
// informer's store. It may not be changed. The store is read under the lock:
// what one reading has seen caught up, no later one may miss.
func (w *Writes[T]) Latest(get func() (T, error), now time.Time) (T, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	cached, err := get()
	if err != nil {
		return cached, err
	}
	return w.latest(cached, now), nil
}

// View is Latest of all that list finds in the informer's store, and what was
// created for owner and is not shown yet. list gives all of owner's namespace.
func (w *Writes[T]) View(list func() ([]T, error), owner types.UID, now time.Time) ([]T, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	cached, err := list()
	if err != nil {
		return nil, err
	}
	view := slices.Clone(cached)
	for _, obj := range cached {
		delete(w.created, obj.GetUID())
	}
	for uid, c := range w.created {
		if now.Sub(c.at) >= Patience {
			delete(w.created, uid)
			continue
		}
		if ref := metav1.GetControllerOfNoCopy(c.obj); ref != nil && ref.UID == owner {
			view = append(view, c.obj)
		}
	}
	for i, obj := range view {
		view[i] = w.latest(obj, now)
	}
	return view, nil
}

func (w *Writes[T]) latest(obj T, now time.Time) T {
	uid := obj.GetUID()
	if u, ok := w.updated[uid]; ok {
		if slices.Contains(u.superseded, obj.GetResourceVersion()) {
			obj = u.obj
		} else {
			delete(w.updated, uid)
		}
	}
	at, ok := w.deleted[uid]
	switch {
	case !ok:
		return obj
	case obj.GetDeletionTimestamp() != nil || now.Sub(at) >= Patience:
		delete(w.deleted, uid)
		return obj
	default:
		leaving := obj.DeepCopyObject().(T)
		leaving.SetDeletionTimestamp(&metav1.Time{Time: at})
		return leaving
	}
}
