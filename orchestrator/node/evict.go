package node

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/orchestrator/scheduling"
)

// eviction is a Pod's removal that is to come, or under way.
type eviction struct {
	after  time.Duration
	cancel context.CancelFunc
}

// evictAll has those Pods deleted that do not tolerate the node's taints, each
// in its time, and spares those for which that has changed.
func (w *Worker) evictAll(ctx context.Context) {
	for _, pod := range w.places.held {
		w.evict(ctx, pod)
	}
}

func (w *Worker) evict(ctx context.Context, pod *corev1.Pod) {
	var (
		after  time.Duration
		leaves bool
	)
	if w.places.node != nil {
		after, leaves = scheduling.Evict(pod, w.places.node)
	}
	planned, found := w.evictions[pod.UID]
	if found && leaves && planned.after == after {
		return
	}
	w.spare(pod.UID)
	if !leaves {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	w.evictions[pod.UID] = eviction{after: after, cancel: cancel}
	w.tasks.Go(func() {
		defer cancel()
		if pause(ctx, after) {
			w.events.evicted(pod)
			w.deleteEvicted(ctx, pod)
		}
	})
}

// spare calls an eviction off.
func (w *Worker) spare(uid types.UID) {
	if planned, found := w.evictions[uid]; found {
		planned.cancel()
		delete(w.evictions, uid)
	}
}

func (w *Worker) deleteEvicted(ctx context.Context, pod *corev1.Pod) {
	options := metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(pod.UID))}
	_ = w.insist(ctx, "a Pod is not evicted", func() error {
		return unlessChanged(w.Client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, options))
	}, "pod", pod.Namespace+"/"+pod.Name)
}
