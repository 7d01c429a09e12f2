package service

import (
	"errors"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"
)

// watch lets the informers fill the queue until stop is called.
func (r *run) watch() (stop func(), synced []cache.DoneChecker, err error) {
	var stops []func() error
	stop = func() {
		for _, remove := range stops {
			// An informer refuses only a registration that is not its own.
			_ = remove()
		}
	}
	add := func(informer cache.SharedIndexInformer, handler cache.ResourceEventHandler) {
		registration, failed := informer.AddEventHandler(handler)
		if failed != nil {
			err = errors.Join(err, failed)
			return
		}
		stops = append(stops, func() error { return informer.RemoveEventHandler(registration) })
		synced = append(synced, registration.HasSyncedChecker())
	}
	add(r.services.Informer(), onAny(r.enqueueObject))
	add(r.older.Informer(), onAny(r.endpointsChanged))
	add(r.slices.Informer(), onAny(r.sliceChanged))
	add(r.pods.Informer(), cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { r.podChanged(nil, obj) },
		UpdateFunc: r.podChanged,
		DeleteFunc: func(obj any) { r.podChanged(obj, nil) },
	})
	if err != nil {
		stop()
	}
	return stop, synced, err
}

// onAny calls handle with every object that appears, changes or goes.
func onAny(handle func(obj any)) cache.ResourceEventHandlerFuncs {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    handle,
		UpdateFunc: func(_, obj any) { handle(obj) },
		DeleteFunc: handle,
	}
}

func (r *run) enqueueObject(obj any) {
	if m := metaOf(obj); m != nil {
		r.queue.Add(cache.MetaObjectToName(m))
	}
}

func (r *run) endpointsChanged(obj any) {
	m := metaOf(obj)
	if m == nil {
		return
	}
	name := cache.MetaObjectToName(m)
	if name == apiService || m.GetLabels()[endpointsLabel] == endpointsManager {
		r.queue.Add(name)
	}
}

func (r *run) sliceChanged(obj any) {
	m := metaOf(obj)
	if m == nil {
		return
	}
	service := m.GetLabels()[discoveryv1.LabelServiceName]
	name := cache.NewObjectName(m.GetNamespace(), service)
	if name == apiService || service != "" && m.GetLabels()[discoveryv1.LabelManagedBy] == sliceManager {
		r.queue.Add(name)
	}
}

// podChanged enqueues the Services that select the Pod as it was or as it is,
// where what they would write of it differs.
func (r *run) podChanged(before, after any) {
	old, _ := untomb(before).(*corev1.Pod)
	pod, _ := untomb(after).(*corev1.Pod)
	if old == nil && pod == nil || old != nil && pod != nil && sameEndpoint(old, pod) {
		return
	}
	namespace := ""
	for _, p := range []*corev1.Pod{old, pod} {
		if p != nil {
			namespace = p.Namespace
		}
	}
	services, err := r.services.Lister().Services(namespace).List(labels.Everything())
	if err != nil {
		r.log.Error("list services of a pod", "error", err)
		return
	}
	for _, svc := range services {
		if len(svc.Spec.Selector) > 0 && (selects(svc, old) || selects(svc, pod)) {
			r.enqueueObject(svc)
		}
	}
}

func selects(svc *corev1.Service, pod *corev1.Pod) bool {
	return pod != nil && labels.SelectorFromSet(svc.Spec.Selector).Matches(labels.Set(pod.Labels))
}

// metaOf is the metadata of an object that a handler was given, nil if unknown.
func metaOf(obj any) metav1.Object {
	m, _ := untomb(obj).(metav1.Object)
	return m
}

// untomb unwraps an object whose deletion the watch missed.
func untomb(obj any) any {
	if tomb, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		return tomb.Obj
	}
	return obj
}
