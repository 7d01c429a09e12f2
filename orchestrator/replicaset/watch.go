package replicaset

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
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
	r.queue.Follow(r.pods.Informer(), work.Dependents[*corev1.Pod]{
		Queue:  r.queue,
		Owner:  kind.Kind,
		Writes: &r.podWrites,
		Orphan: r.enqueueAdopters,
	}.Handler())
}

func (r *run) enqueue(rs *appsv1.ReplicaSet) {
	r.queue.Add(cache.MetaObjectToName(rs))
}

func (r *run) setGone(obj any) {
	if rs, ok := work.LastState[*appsv1.ReplicaSet](obj); ok {
		r.setWrites.Gone(rs.UID)
	}
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
