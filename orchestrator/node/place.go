package node

import (
	"cmp"
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	scheduler "k8s.io/component-helpers/scheduling/corev1"

	"skiff/orchestrator/resource"
	"skiff/orchestrator/scheduling"
	"skiff/orchestrator/work"
)

// hold is why a Pod has no place on the node yet.
type hold struct{ reason, message string }

// places says which Pods hold a place on the node and which wait for one. It is
// owned by Run's goroutine, so that two Pods never get the same room.
type places struct {
	node    *corev1.Node // nil while there is none
	held    map[types.UID]*corev1.Pod
	waiting map[types.UID]*queued
	claims  func(*corev1.Pod) *hold    // why a Pod must wait for its storage; nil if it need not
	alone   func(*corev1.Pod) []string // the claims that a Pod can only have to itself
}

type queued struct {
	pod *corev1.Pod
	hold
}

func newPlaces(claims func(*corev1.Pod) *hold, alone func(*corev1.Pod) []string) places {
	return places{held: map[types.UID]*corev1.Pod{}, waiting: map[types.UID]*queued{}, claims: claims, alone: alone}
}

// judge says why the Pod gets no place now; nil if it gets one.
func (p *places) judge(pod *corev1.Pod) *hold {
	switch {
	case len(pod.Spec.SchedulingGates) > 0:
		return &hold{corev1.PodReasonSchedulingGated, scheduling.Gated}
	case p.node == nil:
		return &hold{corev1.PodReasonUnschedulable, scheduling.NoNode}
	}
	if h := p.claims(pod); h != nil {
		return h
	}
	if refusal := scheduling.Fit(pod, p.node, p.others(pod), p.alone(pod)); !refusal.Fits() {
		return &hold{corev1.PodReasonUnschedulable, refusal.Message()}
	}
	return nil
}

func (p *places) others(pod *corev1.Pod) []*corev1.Pod {
	others := make([]*corev1.Pod, 0, len(p.held))
	for uid, other := range p.held {
		if uid != pod.UID {
			others = append(others, other)
		}
	}
	return others
}

// queue lists the Pods that wait, those first that come first.
func (p *places) queue() []*queued {
	var list []*queued
	for _, q := range p.waiting {
		if q.pod.DeletionTimestamp == nil {
			list = append(list, q)
		}
	}
	slices.SortFunc(list, func(a, b *queued) int { return before(a.pod, b.pod) })
	return list
}

func before(a, b *corev1.Pod) int {
	return cmp.Or(
		cmp.Compare(scheduler.PodPriority(b), scheduler.PodPriority(a)),
		a.CreationTimestamp.Compare(b.CreationTimestamp.Time),
		cmp.Compare(a.Namespace, b.Namespace),
		cmp.Compare(a.Name, b.Name),
	)
}

// place finds a place for a Pod that is new here, or notes in its state why
// there is none.
func (w *Worker) place(ctx context.Context, s *state) {
	pod := s.pod
	switch {
	case over(pod.Status.Phase):
	case pod.Spec.NodeName == "":
		if h := w.places.judge(pod); h != nil {
			s.hold = h
			w.places.waiting[pod.UID] = &queued{pod: pod, hold: *h}
			w.tellHold(pod, h)
			return
		}
		w.occupy(ctx, pod)
	default:
		s.failure = w.admit(ctx, pod)
	}
}

// admit gives a Pod that names the node its place there, or says why not.
func (w *Worker) admit(ctx context.Context, pod *corev1.Pod) *failure {
	if w.places.node != nil {
		if r := scheduling.Admit(pod, w.places.node, w.places.others(pod)); r != nil {
			w.events.warn(pod, "", r.Reason, "%s", r.Message)
			return &failure{reason: r.Reason, message: r.Message, rejected: true}
		}
	}
	w.occupy(ctx, pod)
	return nil
}

// occupy gives a Pod its place, for as long as the node's taints let it stay.
func (w *Worker) occupy(ctx context.Context, pod *corev1.Pod) {
	w.places.held[pod.UID] = pod
	w.evict(ctx, pod)
}

// keepPlace takes note of what the API says of a Pod that is known.
func (w *Worker) keepPlace(ctx context.Context, p *pod, pod *corev1.Pod) {
	q := w.places.waiting[pod.UID]
	switch {
	case q != nil && pod.Spec.NodeName != "": // somebody else has bound it
		delete(w.places.waiting, pod.UID)
		f := w.admit(ctx, pod)
		p.send(func() { p.s.hold, p.s.failure = nil, f })
	case q != nil:
		q.pod = pod
		w.reschedule(ctx)
	case over(pod.Status.Phase):
		w.release(ctx, pod.UID)
	case w.places.held[pod.UID] != nil:
		w.occupy(ctx, pod)
	}
}

// release frees a Pod's place for those that wait.
func (w *Worker) release(ctx context.Context, uid types.UID) {
	_, held := w.places.held[uid]
	delete(w.places.held, uid)
	delete(w.places.waiting, uid)
	w.spare(uid)
	if held {
		w.reschedule(ctx)
	}
}

// reschedule looks for places for the Pods that wait.
func (w *Worker) reschedule(ctx context.Context) {
	for _, q := range w.places.queue() {
		h, pod := w.places.judge(q.pod), q.pod
		if h != nil && *h == q.hold {
			continue
		}
		if h == nil {
			delete(w.places.waiting, pod.UID)
			w.occupy(ctx, pod)
		} else {
			q.hold = *h
			w.tellHold(pod, h)
		}
		if p := w.pods[pod.UID]; p != nil {
			p.send(func() { p.s.hold = h })
		}
	}
}

// tellHold records the event of a Pod without a place. A gate is somebody's
// wish, and the node is about to be there: neither is worth one.
func (w *Worker) tellHold(pod *corev1.Pod, h *hold) {
	if h.reason == corev1.PodReasonUnschedulable && w.places.node != nil {
		w.events.unschedulable(pod, h.message)
	}
}

// nodeChanged takes over what the API says of the node, nil that it has none.
func (w *Worker) nodeChanged(ctx context.Context, node *corev1.Node) {
	w.places.node = node
	if node != nil {
		w.keepCordon(ctx, node)
	}
	w.reschedule(ctx)
	w.evictAll(ctx)
}

// nodeHandler hands over what the informer says of the node.
func (w *Worker) nodeHandler(ctx context.Context) cache.ResourceEventHandler {
	send := func(obj any, gone bool) {
		node, ok := work.LastState[*corev1.Node](obj)
		if !ok || node.Name != resource.NodeName {
			return
		}
		if gone {
			node = nil
		}
		select {
		case w.nodes <- node:
		case <-ctx.Done():
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { send(obj, false) },
		UpdateFunc: func(_, obj any) { send(obj, false) },
		DeleteFunc: func(obj any) { send(obj, true) },
	}
}
