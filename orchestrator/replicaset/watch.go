package replicaset

import (
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"

	"skiff/orchestrator/rollout"
	"skiff/orchestrator/work"
)

// follow makes the queue follow the informers.
func (r *run) follow() {
	r.queue.Follow(r.sets.Informer(), cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { r.enqueue(obj.(*appsv1.ReplicaSet)) },
		UpdateFunc: func(_, obj any) { r.enqueue(obj.(*appsv1.ReplicaSet)) },
		DeleteFunc: r.setGone,
	})
	r.queue.Follow(r.pods.Informer(), cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { r.podAdded(obj.(*corev1.Pod)) },
		UpdateFunc: func(old, obj any) { r.podChanged(old.(*corev1.Pod), obj.(*corev1.Pod)) },
		DeleteFunc: r.podGone,
	})
}

func (r *run) enqueue(rs *appsv1.ReplicaSet) {
	r.queue.Add(cache.MetaObjectToName(rs))
}

func (r *run) setGone(obj any) {
	if rs, ok := work.LastState[*appsv1.ReplicaSet](obj); ok {
		r.setWrites.Gone(rs.UID)
	}
}

func (r *run) podAdded(pod *corev1.Pod) {
	r.podWrites.Seen(pod.UID)
	if !r.enqueueOwner(pod) {
		r.enqueueAdopters(pod)
	}
}

// podChanged wakes the owner, a former one too; and for an orphan all that may
// want it, if that can have changed.
func (r *run) podChanged(old, pod *corev1.Pod) {
	ownersChanged := !equality.Semantic.DeepEqual(old.OwnerReferences, pod.OwnerReferences)
	if ownersChanged {
		r.enqueueOwner(old)
	}
	if !r.enqueueOwner(pod) && (ownersChanged || !maps.Equal(old.Labels, pod.Labels)) {
		r.enqueueAdopters(pod)
	}
}

func (r *run) podGone(obj any) {
	if pod, ok := work.LastState[*corev1.Pod](obj); ok {
		r.podWrites.Gone(pod.UID)
		r.enqueueOwner(pod)
	}
}

// enqueueOwner says whether the Pod has a controller, of whatever kind.
func (r *run) enqueueOwner(pod *corev1.Pod) bool {
	ref := metav1.GetControllerOfNoCopy(pod)
	if ref == nil {
		return false
	}
	if ref.Kind == kind.Kind {
		r.queue.Add(cache.NewObjectName(pod.Namespace, ref.Name))
	}
	return true
}

func (r *run) enqueueAdopters(pod *corev1.Pod) {
	sets, err := r.sets.Lister().ReplicaSets(pod.Namespace).List(labels.Everything())
	if err != nil {
		return
	}
	for _, rs := range sets {
		if rollout.Selector(rs.Spec.Selector).Matches(labels.Set(pod.Labels)) {
			r.enqueue(rs)
		}
	}
}
