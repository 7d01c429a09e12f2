package service

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"

	"skiff/orchestrator/work"
)

// follow makes the queue follow the informers.
func (r *run) follow() {
	r.queue.Follow(r.services.Informer(), work.OnAny(r.enqueue))
	r.queue.Follow(r.older.Informer(), work.OnAny(r.endpointsChanged))
	r.queue.Follow(r.slices.Informer(), work.OnAny(r.sliceChanged))
	r.queue.Follow(r.pods.Informer(), cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { r.podChanged(nil, obj) },
		UpdateFunc: r.podChanged,
		DeleteFunc: func(obj any) { r.podChanged(obj, nil) },
	})
}

func (r *run) enqueue(svc *corev1.Service) {
	r.queue.Add(cache.MetaObjectToName(svc))
}

func (r *run) endpointsChanged(e metav1.Object) {
	name := cache.MetaObjectToName(e)
	if name == apiService || e.GetLabels()[endpointsLabel] == endpointsManager {
		r.queue.Add(name)
	}
}

func (r *run) sliceChanged(slice *discoveryv1.EndpointSlice) {
	service := slice.Labels[discoveryv1.LabelServiceName]
	name := cache.NewObjectName(slice.Namespace, service)
	if name == apiService || service != "" && slice.Labels[discoveryv1.LabelManagedBy] == sliceManager {
		r.queue.Add(name)
	}
}

// podChanged enqueues the Services that select the Pod as it was or as it is,
// where what they would write of it differs.
func (r *run) podChanged(before, after any) {
	old, _ := work.LastState[*corev1.Pod](before)
	pod, _ := work.LastState[*corev1.Pod](after)
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
			r.enqueue(svc)
		}
	}
}

func selects(svc *corev1.Service, pod *corev1.Pod) bool {
	return pod != nil && labels.SelectorFromSet(svc.Spec.Selector).Matches(labels.Set(pod.Labels))
}
