// Package fakeapi is an API server in memory for the tests of controllers:
// client-go's fake clientset with what its own tracker leaves out and a
// controller lives by. That is resource versions and conflicts, generations,
// UIDs, generated names, status as a subresource, graceful deletion of Pods,
// preconditions, and watches that lag behind as long as a test wants.
package fakeapi

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// The resources that can be watched.
const (
	Deployments = "deployments"
	ReplicaSets = "replicasets"
	Pods        = "pods"
)

// object is a pointer to an API object.
type object interface {
	metav1.Object
	runtime.Object
}

// API holds Deployments, ReplicaSets, Pods and the texts of Events.
type API struct {
	Client *fake.Clientset

	// Intercept, if set, can refuse a request before it is looked at.
	Intercept func(clienttesting.Action) error
	// Changed, if set, is told of every change of an object, one at a time, in
	// the order in which they happen. It may not call the API.
	Changed func(now State)

	mu       sync.Mutex // guards all below
	wake     *sync.Cond // a log has grown, or a hold was changed
	version  int64
	tables   map[string]*table
	events   []string
	requests []string
}

type table struct {
	objects map[string]object // by namespace/name
	log     []change
	held    bool
	shown   int // how much of log the watches may show while held
}

type change struct {
	version int64
	event   watch.Event
}

// New makes an API without any object.
func New() *API {
	a := &API{Client: &fake.Clientset{}, tables: map[string]*table{}}
	a.wake = sync.NewCond(&a.mu)
	for _, resource := range []string{Deployments, ReplicaSets, Pods} {
		a.tables[resource] = &table{objects: map[string]object{}}
	}
	a.Client.AddReactor("*", "*", a.react)
	a.Client.AddWatchReactor("*", a.watch)
	return a
}

func (a *API) react(action clienttesting.Action) (bool, runtime.Object, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	resource := action.GetResource().Resource
	if resource == "events" {
		return a.record(action)
	}
	if a.Intercept != nil {
		if err := a.Intercept(action); err != nil {
			return true, nil, err
		}
	}
	t, ok := a.tables[resource]
	if !ok {
		return true, nil, fmt.Errorf("no such resource: %s", resource)
	}
	var obj runtime.Object
	var err error
	switch action := action.(type) {
	case clienttesting.CreateActionImpl:
		obj, err = a.create(t, action)
	case clienttesting.UpdateActionImpl:
		obj, err = a.update(t, action)
	case clienttesting.DeleteActionImpl:
		obj, err = a.remove(t, action)
	case clienttesting.GetActionImpl:
		obj, err = t.get(action, action.Name)
	case clienttesting.ListActionImpl:
		return true, a.list(resource, action.Namespace), nil
	default:
		err = fmt.Errorf("no such verb: %s", action.GetVerb())
	}
	if verb := action.GetVerb(); verb != "get" {
		a.requests = append(a.requests, verb+" "+resource+suffix(action))
	}
	return true, obj, err
}

func suffix(action clienttesting.Action) string {
	if sub := action.GetSubresource(); sub != "" {
		return "/" + sub
	}
	return ""
}

func (a *API) record(action clienttesting.Action) (bool, runtime.Object, error) {
	switch action := action.(type) {
	case clienttesting.CreateActionImpl:
		event := action.Object.(*corev1.Event)
		a.events = append(a.events, event.Type+" "+event.Reason+" "+event.Message)
		return true, event, nil
	default:
		return true, &corev1.Event{}, nil
	}
}

func (t *table) get(action clienttesting.Action, name string) (object, error) {
	obj, ok := t.objects[action.GetNamespace()+"/"+name]
	if !ok {
		return nil, apierrors.NewNotFound(action.GetResource().GroupResource(), name)
	}
	return copyOf(obj), nil
}

func (a *API) create(t *table, action clienttesting.CreateActionImpl) (object, error) {
	obj := copyOf(action.Object.(object))
	if obj.GetName() == "" {
		obj.SetName(obj.GetGenerateName() + rand.String(5))
	}
	obj.SetNamespace(action.Namespace)
	if _, ok := t.objects[key(obj)]; ok {
		return nil, apierrors.NewAlreadyExists(action.GetResource().GroupResource(), obj.GetName())
	}
	obj.SetCreationTimestamp(metav1.NewTime(time.Now().Truncate(time.Second)))
	obj.SetGeneration(1)
	a.put(t, watch.Added, obj)
	return copyOf(obj), nil
}

func (a *API) update(t *table, action clienttesting.UpdateActionImpl) (object, error) {
	obj := copyOf(action.Object.(object))
	was, err := t.get(action, obj.GetName())
	if err != nil {
		return nil, err
	}
	if obj.GetResourceVersion() != was.GetResourceVersion() || obj.GetUID() != was.GetUID() {
		return nil, apierrors.NewConflict(action.GetResource().GroupResource(), obj.GetName(), fmt.Errorf("version %s is not %s", obj.GetResourceVersion(), was.GetResourceVersion()))
	}
	obj.SetGeneration(was.GetGeneration())
	merge(was, obj, action.Subresource == "status")
	a.put(t, watch.Modified, obj)
	return copyOf(obj), nil
}

// merge keeps of obj what an update of its status, or of all but its status,
// can change, and counts its generation.
func merge(was, obj object, isStatus bool) {
	bump := false
	switch obj := obj.(type) {
	case *appsv1.Deployment:
		was := was.(*appsv1.Deployment)
		if isStatus {
			obj.Spec = was.Spec
		} else {
			obj.Status = was.Status
			bump = !equality.Semantic.DeepEqual(obj.Spec, was.Spec) || !equality.Semantic.DeepEqual(obj.Annotations, was.Annotations)
		}
	case *appsv1.ReplicaSet:
		was := was.(*appsv1.ReplicaSet)
		if isStatus {
			obj.Spec, obj.ObjectMeta = was.Spec, *was.ObjectMeta.DeepCopy()
		} else {
			obj.Status = was.Status
			bump = !equality.Semantic.DeepEqual(obj.Spec, was.Spec)
		}
	case *corev1.Pod:
		if !isStatus {
			obj.Status = was.(*corev1.Pod).Status
		}
	}
	if bump {
		obj.SetGeneration(was.GetGeneration() + 1)
	}
}

// remove only marks a Pod; its end comes by Finish.
func (a *API) remove(t *table, action clienttesting.DeleteActionImpl) (object, error) {
	obj, err := t.get(action, action.Name)
	if err != nil {
		return nil, err
	}
	if p := action.DeleteOptions.Preconditions; p != nil {
		if p.UID != nil && *p.UID != obj.GetUID() || p.ResourceVersion != nil && *p.ResourceVersion != obj.GetResourceVersion() {
			return nil, apierrors.NewConflict(action.GetResource().GroupResource(), action.Name, fmt.Errorf("precondition does not hold"))
		}
	}
	if _, ok := obj.(*corev1.Pod); ok {
		if obj.GetDeletionTimestamp() == nil {
			obj.SetDeletionTimestamp(&metav1.Time{Time: time.Now()})
			a.put(t, watch.Modified, obj)
		}
		return obj, nil
	}
	a.put(t, watch.Deleted, obj)
	return obj, nil
}

func (a *API) put(t *table, kind watch.EventType, obj object) {
	a.version++
	obj.SetResourceVersion(strconv.FormatInt(a.version, 10))
	if kind == watch.Added && obj.GetUID() == "" {
		obj.SetUID(types.UID(fmt.Sprintf("uid-%06d", a.version)))
	}
	if kind == watch.Deleted {
		delete(t.objects, key(obj))
	} else {
		t.objects[key(obj)] = obj
	}
	t.log = append(t.log, change{a.version, watch.Event{Type: kind, Object: copyOf(obj)}})
	a.wake.Broadcast()
	if a.Changed != nil {
		a.Changed(a.state())
	}
}

func (a *API) list(resource, namespace string) runtime.Object {
	meta := metav1.ListMeta{ResourceVersion: strconv.FormatInt(a.version, 10)}
	state := a.state()
	inNamespace := func(obj metav1.Object) bool { return namespace == "" || obj.GetNamespace() == namespace }
	switch resource {
	case Deployments:
		list := &appsv1.DeploymentList{ListMeta: meta}
		for _, d := range state.Deployments {
			if inNamespace(d) {
				list.Items = append(list.Items, *d.DeepCopy())
			}
		}
		return list
	case ReplicaSets:
		list := &appsv1.ReplicaSetList{ListMeta: meta}
		for _, rs := range state.ReplicaSets {
			if inNamespace(rs) {
				list.Items = append(list.Items, *rs.DeepCopy())
			}
		}
		return list
	default:
		list := &corev1.PodList{ListMeta: meta}
		for _, pod := range state.Pods {
			if inNamespace(pod) {
				list.Items = append(list.Items, *pod.DeepCopy())
			}
		}
		return list
	}
}

// Events are the texts of the events so far: type, reason, message.
func (a *API) Events() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.events)
}

// Requests are the requests so far, except reads, such as "update pods/status".
func (a *API) Requests() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(a.requests), func(r string) bool { return r[:4] == "list" })
}

func key(obj metav1.Object) string { return obj.GetNamespace() + "/" + obj.GetName() }

func copyOf(obj object) object { return obj.DeepCopyObject().(object) }
