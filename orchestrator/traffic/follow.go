package traffic

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"

	endpoints "skiff/orchestrator/service"
)

func (d *Director) watch(informer cache.SharedIndexInformer, changed func(any)) {
	registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    changed,
		UpdateFunc: func(_, obj any) { changed(obj) },
		DeleteFunc: changed,
	})
	if err != nil { // only a stopped informer takes no handler
		d.Log.Error("watch for traffic", "error", err)
		return
	}
	d.synced = append(d.synced, registration.HasSynced)
}

func (d *Director) enqueue(obj any) {
	if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(obj); err == nil {
		d.queue.Add(key)
	}
}

// enqueueOwner looks again at the Service that somebody wrote endpoints for.
// Those that a controller wrote say what the Director knows.
func (d *Director) enqueueOwner(obj any) {
	if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = gone.Obj
	}
	if o, ok := obj.(metav1.Object); ok && endpoints.HandMade(o) {
		name := o.GetName()
		if slice, ok := obj.(*discoveryv1.EndpointSlice); ok {
			name = slice.Labels[discoveryv1.LabelServiceName]
		}
		d.queue.Add(o.GetNamespace() + "/" + name)
	}
}

// enqueueNamespace looks again at all Services that obj may matter to.
func (d *Director) enqueueNamespace(obj any) {
	key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(obj)
	if err != nil {
		return
	}
	if pod, ok := obj.(*corev1.Pod); ok {
		d.relabel(pod)
		if claimsPorts(pod) {
			d.queue.Add(podKey + key)
		}
	} else if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		if pod, ok := gone.Obj.(*corev1.Pod); ok && claimsPorts(pod) {
			d.queue.Add(podKey + key)
		}
	}
	namespace, _, _ := cache.SplitMetaNamespaceKey(key)
	services, err := d.services.Services(namespace).List(labels.Everything())
	if err != nil {
		return
	}
	for _, s := range services {
		d.enqueue(s)
	}
}

// enqueueAll looks again at every Service: all are on the one node.
func (d *Director) enqueueAll(any) {
	services, err := d.services.List(labels.Everything())
	if err != nil {
		return
	}
	for _, s := range services {
		d.enqueue(s)
	}
}

// relabel keeps up with labels that changed while the Pod is ready.
func (d *Director) relabel(pod *corev1.Pod) {
	d.mu.Lock()
	defer d.mu.Unlock()
	known := d.ready[pod.UID]
	if known == nil || maps.Equal(known.Labels, pod.Labels) {
		return
	}
	known = known.DeepCopy()
	known.Labels = pod.Labels
	d.ready[pod.UID] = known
}
