package deployment

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"

	"skiff/orchestrator/resource"
	"skiff/orchestrator/rollout"
	"skiff/orchestrator/work"
)

// follow makes the queue follow the informers.
func (r *run) follow() {
	r.queue.Follow(r.deployments.Informer(), cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { r.enqueue(obj.(*appsv1.Deployment)) },
		UpdateFunc: func(_, obj any) { r.enqueue(obj.(*appsv1.Deployment)) },
		DeleteFunc: r.deploymentGone,
	})
	r.queue.Follow(r.sets.Informer(), work.Dependents[*appsv1.ReplicaSet]{
		Queue:  r.queue,
		Owner:  kind.Kind,
		Writes: &r.setWrites,
		Orphan: func(rs *appsv1.ReplicaSet) { r.enqueueMatching(rs, isAny) },
	}.Handler())
	r.queue.Follow(r.pods.Informer(), cache.ResourceEventHandlerFuncs{
		UpdateFunc: func(old, obj any) { r.podChanged(old.(*corev1.Pod), obj.(*corev1.Pod)) },
		DeleteFunc: r.podGone,
	})
}

func (r *run) enqueue(d *appsv1.Deployment) {
	r.queue.Add(cache.MetaObjectToName(d))
}

func (r *run) deploymentGone(obj any) {
	if d, ok := work.LastState[*appsv1.Deployment](obj); ok {
		r.deploymentWrites.Gone(d.UID)
	}
}

func (r *run) podChanged(old, pod *corev1.Pod) {
	if resource.IsFinished(pod) && !resource.IsFinished(old) {
		r.enqueueMatching(pod, waitsForPods)
	}
}

func (r *run) podGone(obj any) {
	if pod, ok := work.LastState[*corev1.Pod](obj); ok {
		r.enqueueMatching(pod, waitsForPods)
	}
}

// enqueueMatching wakes the Deployments that concerns is true of and whose
// selector matches obj.
func (r *run) enqueueMatching(obj metav1.Object, concerns func(*appsv1.Deployment) bool) {
	deployments, err := r.deployments.Lister().Deployments(obj.GetNamespace()).List(labels.Everything())
	if err != nil {
		return
	}
	for _, d := range deployments {
		if concerns(d) && rollout.Selector(d.Spec.Selector).Matches(labels.Set(obj.GetLabels())) {
			r.enqueue(d)
		}
	}
}

func isAny(*appsv1.Deployment) bool { return true }

// waitsForPods: a rolling update goes by what the ReplicaSets report, only
// Recreate wants to know that the very last Pod is gone.
func waitsForPods(d *appsv1.Deployment) bool { return !rollout.IsRolling(d) }
