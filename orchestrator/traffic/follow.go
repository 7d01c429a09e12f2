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

func (d *Director) watch(informer cache.SharedIndexInformer, handler cache.ResourceEventHandler) {
	registration, err := informer.AddEventHandler(handler)
	if err != nil { // only a stopped informer takes no handler
		d.Log.Error("watch for traffic", "error", err)
		return
	}
	d.synced = append(d.synced, registration.HasSynced)
}

func (d *Director) enqueue(service metav1.Object) {
	d.queue.Add(cache.MetaObjectToName(service).String())
}

// enqueueOwner looks again at the Service that somebody wrote endpoints for.
// Those that a controller wrote say what the Director knows.
func (d *Director) enqueueOwner(obj metav1.Object) {
	if !endpoints.HandMade(obj) {
		return
	}
	name := obj.GetName()
	if slice, ok := obj.(*discoveryv1.EndpointSlice); ok {
		name = slice.Labels[discoveryv1.LabelServiceName]
	}
	d.queue.Add(obj.GetNamespace() + "/" + name)
}

func (d *Director) enqueuePod(pod *corev1.Pod) {
	d.relabel(pod)
	if claimsPorts(pod) {
		d.queue.Add(podKey + cache.MetaObjectToName(pod).String())
	}
	d.enqueueNamespace(pod)
}

// enqueueNamespace looks again at all Services that obj may matter to.
func (d *Director) enqueueNamespace(obj metav1.Object) {
	services, err := d.services.Services(obj.GetNamespace()).List(labels.Everything())
	if err != nil {
		return
	}
	for _, s := range services {
		d.enqueue(s)
	}
}

// enqueueAll looks again at every Service: all are on the one node.
func (d *Director) enqueueAll() {
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
