package deployment

import (
	"errors"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"

	"skiff/orchestrator/rollout"
)

// watch makes the queue follow the informers until stop is called.
func (r *run) watch() (stop func(), synced []cache.DoneChecker, err error) {
	stop = func() {}
	follow := func(informer cache.SharedIndexInformer, handler cache.ResourceEventHandlerFuncs) error {
		events, err := informer.AddEventHandler(handler)
		if err != nil {
			return err
		}
		synced = append(synced, events.HasSyncedChecker())
		before := stop
		stop = func() {
			before()
			_ = informer.RemoveEventHandler(events)
		}
		return nil
	}
	err = errors.Join(
		follow(r.deployments.Informer(), cache.ResourceEventHandlerFuncs{
			AddFunc:    func(obj any) { r.enqueue(obj.(*appsv1.Deployment)) },
			UpdateFunc: func(_, obj any) { r.enqueue(obj.(*appsv1.Deployment)) },
			DeleteFunc: r.deploymentGone,
		}),
		follow(r.sets.Informer(), cache.ResourceEventHandlerFuncs{
			AddFunc:    func(obj any) { r.setAdded(obj.(*appsv1.ReplicaSet)) },
			UpdateFunc: func(old, obj any) { r.setChanged(old.(*appsv1.ReplicaSet), obj.(*appsv1.ReplicaSet)) },
			DeleteFunc: r.setGone,
		}),
		follow(r.pods.Informer(), cache.ResourceEventHandlerFuncs{
			UpdateFunc: func(old, obj any) { r.podChanged(old.(*corev1.Pod), obj.(*corev1.Pod)) },
			DeleteFunc: r.podGone,
		}),
	)
	if err != nil {
		stop()
	}
	return stop, synced, err
}

func (r *run) enqueue(d *appsv1.Deployment) {
	r.queue.Add(cache.MetaObjectToName(d))
}

func (r *run) deploymentGone(obj any) {
	if d, ok := lastState[*appsv1.Deployment](obj); ok {
		r.deploymentWrites.Gone(d.UID)
	}
}

func (r *run) setAdded(rs *appsv1.ReplicaSet) {
	r.setWrites.Seen(rs.UID)
	if !r.enqueueOwner(rs) {
		r.enqueueMatching(rs, isAny)
	}
}

// setChanged wakes the owner, a former one too; and for an orphan all that may
// want it, if that can have changed.
func (r *run) setChanged(old, rs *appsv1.ReplicaSet) {
	ownersChanged := !equality.Semantic.DeepEqual(old.OwnerReferences, rs.OwnerReferences)
	if ownersChanged {
		r.enqueueOwner(old)
	}
	if !r.enqueueOwner(rs) && (ownersChanged || !maps.Equal(old.Labels, rs.Labels)) {
		r.enqueueMatching(rs, isAny)
	}
}

func (r *run) setGone(obj any) {
	if rs, ok := lastState[*appsv1.ReplicaSet](obj); ok {
		r.setWrites.Gone(rs.UID)
		r.enqueueOwner(rs)
	}
}

func (r *run) podChanged(old, pod *corev1.Pod) {
	if rollout.IsFinished(pod) && !rollout.IsFinished(old) {
		r.enqueueMatching(pod, waitsForPods)
	}
}

func (r *run) podGone(obj any) {
	if pod, ok := lastState[*corev1.Pod](obj); ok {
		r.enqueueMatching(pod, waitsForPods)
	}
}

// enqueueOwner says whether the ReplicaSet has a controller, of whatever kind.
func (r *run) enqueueOwner(rs *appsv1.ReplicaSet) bool {
	ref := metav1.GetControllerOfNoCopy(rs)
	if ref == nil {
		return false
	}
	if ref.Kind == kind.Kind {
		r.queue.Add(cache.NewObjectName(rs.Namespace, ref.Name))
	}
	return true
}

// enqueueMatching wakes the Deployments that concerns is true of and whose
// selector matches obj.
func (r *run) enqueueMatching(obj metav1.Object, concerns func(*appsv1.Deployment) bool) {
	deployments, err := r.deployments.Lister().Deployments(obj.GetNamespace()).List(labels.Everything())
	if err != nil {
		return
	}
	for _, d := range deployments {
		if concerns(d) && selector(d).Matches(labels.Set(obj.GetLabels())) {
			r.enqueue(d)
		}
	}
}

func isAny(*appsv1.Deployment) bool { return true }

// waitsForPods: a rolling update goes by what the ReplicaSets report, only
// Recreate wants to know that the very last Pod is gone.
func waitsForPods(d *appsv1.Deployment) bool { return !rollout.IsRolling(d) }

// selector matches nothing where the Deployment's own selector is empty or
// cannot be read: either would claim ReplicaSets that are none of its.
func selector(d *appsv1.Deployment) labels.Selector {
	s, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil || s.Empty() {
		return labels.Nothing()
	}
	return s
}

// lastState is the object of a deletion; if its event was missed, the one that
// the informer last knew.
func lastState[T any](obj any) (T, bool) {
	if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = tombstone.Obj
	}
	last, ok := obj.(T)
	return last, ok
}
