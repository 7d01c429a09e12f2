package fakeapi

import (
	"cmp"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// State is all that the API holds, each kind in the order of its UIDs, which is
// that of creation. It may not be changed.
type State struct {
	Deployments []*appsv1.Deployment
	ReplicaSets []*appsv1.ReplicaSet
	Pods        []*corev1.Pod
}

// State is what the API holds now.
func (a *API) State() State {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state()
}

func (a *API) state() State {
	return State{
		Deployments: collect[*appsv1.Deployment](a.tables[Deployments]),
		ReplicaSets: collect[*appsv1.ReplicaSet](a.tables[ReplicaSets]),
		Pods:        collect[*corev1.Pod](a.tables[Pods]),
	}
}

func collect[T object](t *table) []T {
	var all []T
	for _, obj := range t.objects {
		all = append(all, obj.(T))
	}
	slices.SortFunc(all, func(a, b T) int { return cmp.Compare(a.GetUID(), b.GetUID()) })
	return all
}

// Edit changes a Deployment as a user does, on top of whatever it is now, and
// says whether it is there.
func (a *API) Edit(namespace, name string, change func(*appsv1.Deployment)) bool {
	return edit(a, Deployments, namespace+"/"+name, change)
}

// SetPod changes a Pod as its kubelet does, and says whether it is there.
func (a *API) SetPod(namespace, name string, change func(*corev1.Pod)) bool {
	return edit(a, Pods, namespace+"/"+name, change)
}

func edit[T object](a *API, resource, key string, change func(T)) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.tables[resource]
	was, ok := t.objects[key]
	if !ok {
		return false
	}
	obj := copyOf(was)
	change(obj.(T))
	if resource == Deployments {
		merge(was, obj, false)
	}
	a.put(t, watch.Modified, obj)
	return true
}

// Finish removes a Pod for good, as its kubelet does once its containers have
// ended, and says whether it was there.
func (a *API) Finish(namespace, name string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.tables[Pods]
	obj, ok := t.objects[namespace+"/"+name]
	if ok {
		a.put(t, watch.Deleted, copyOf(obj))
	}
	return ok
}
