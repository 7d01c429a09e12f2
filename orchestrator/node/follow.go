package node

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"

	"skiff/orchestrator/resource"
	"skiff/orchestrator/work"
)

// update is what the API says of a Pod: what it is now, or that it is gone.
type update struct {
	pod  *corev1.Pod
	gone bool
}

// handler hands over what the informer says. The informer queues for it, so it
// may wait.
func (w *Worker) handler(ctx context.Context) cache.ResourceEventHandler {
	send := func(obj any, gone bool) {
		p, ok := work.LastState[*corev1.Pod](obj)
		if !ok || (p.Spec.NodeName != "" && p.Spec.NodeName != resource.NodeName) {
			return
		}
		select {
		case w.updates <- update{pod: p, gone: gone}:
		case <-ctx.Done():
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { send(obj, false) },
		UpdateFunc: func(_, obj any) { send(obj, false) },
		DeleteFunc: func(obj any) { send(obj, true) },
	}
}

func (w *Worker) update(ctx context.Context, u update) {
	p := w.pods[u.pod.UID]
	switch {
	case p != nil && u.gone:
		p.send(p.vanish)
	case p != nil:
		p.send(func() { p.update(u.pod) })
		w.keepPlace(ctx, p, u.pod)
	case !u.gone && !w.halting && w.exists(u.pod):
		w.replace(u.pod)
		s := newState(u.pod)
		w.place(ctx, s)
		w.start(ctx, s)
	}
}

// exists says whether the Pod is, by the latest news, still in the API. What
// the informer passes on may be older.
func (w *Worker) exists(pod *corev1.Pod) bool {
	obj, found, err := w.informer.GetIndexer().Get(pod)
	latest, ok := obj.(*corev1.Pod)
	return err == nil && found && ok && latest.UID == pod.UID
}

// replace ends the Pod that had a new one's name: an informer that had lost its
// watch sees a Pod deleted and made again as one update.
func (w *Worker) replace(pod *corev1.Pod) {
	for uid, p := range w.pods {
		if uid != pod.UID && p.namespace == pod.Namespace && p.name == pod.Name {
			p.send(p.vanish)
		}
	}
}

func (w *Worker) start(ctx context.Context, s *state) {
	s.outage = w.outage.Load()
	p := newPod(&w.shared, s)
	w.pods[s.pod.UID] = p
	w.crowded.Store(len(w.pods) > crowd)
	w.tasks.Go(func() {
		p.run(ctx)
		select {
		case w.ended <- p:
		case <-ctx.Done():
		}
	})
}

// forget takes note that nothing is left of a Pod. A creation that was cut short
// may have come through since it was looked for; what comes later still is an
// orphan when its event arrives.
func (w *Worker) forget(ctx context.Context, p *pod) {
	delete(w.pods, p.uid)
	w.crowded.Store(len(w.pods) > crowd)
	w.tokens.forget(p.uid)
	w.release(ctx, p.uid)
	if p.s.swept {
		w.lookForOrphans(ctx)
	}
	if p.s.remnant != "" {
		w.removeAtLeisure(ctx, p.s.remnant)
	}
}
