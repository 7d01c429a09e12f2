package gc

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"

	"skiff/orchestrator/informer"
	"skiff/orchestrator/work"
)

const (
	// eventLife is upstream's: an Event is kept for an hour after it was last
	// seen.
	eventLife = time.Hour
	// maxEvents bounds the Events of one namespace; a Pod in a crash loop must
	// not fill the disk.
	maxEvents = 10_000
)

type expiry struct {
	*Controller
	life     time.Duration
	max      int
	informer cache.SharedIndexInformer
	queue    *work.Queue[cache.ObjectName]
	count    map[string]int // by namespace; only the informer's handler uses it
}

// runExpiry removes old Events. It has an informer of its own, which keeps of
// each Event only what is needed here.
func (c *Controller) runExpiry(ctx context.Context, life time.Duration, most int) error {
	r := &expiry{
		Controller: c,
		life:       life,
		max:        most,
		informer:   informer.New(c.client, &corev1.Event{}, c.client.CoreV1().Events(metav1.NamespaceAll)),
		count:      map[string]int{},
	}
	if err := r.informer.SetTransform(timesOnly); err != nil {
		return fmt.Errorf("watch events: %w", err)
	}
	r.queue = work.NewQueue[cache.ObjectName](c.log, nil)
	r.queue.Follow(r.informer, cache.ResourceEventHandlerFuncs{AddFunc: r.appeared, DeleteFunc: r.went})
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { r.informer.RunWithContext(ctx) })
	return r.queue.Run(ctx, 1, r.sync)
}

// timesOnly strips an Event of what it says.
func timesOnly(obj any) (any, error) {
	e, ok := obj.(*corev1.Event)
	if !ok {
		return obj, nil
	}
	return &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: e.Namespace, Name: e.Name, UID: e.UID, ResourceVersion: e.ResourceVersion, CreationTimestamp: e.CreationTimestamp,
		},
		LastTimestamp: e.LastTimestamp,
		EventTime:     e.EventTime,
		Series:        e.Series,
	}, nil
}

// lastSeen is when the Event happened for the last time that we know of.
func lastSeen(e *corev1.Event) time.Time {
	last := e.CreationTimestamp.Time
	times := []time.Time{e.LastTimestamp.Time, e.EventTime.Time}
	if e.Series != nil {
		times = append(times, e.Series.LastObservedTime.Time)
	}
	for _, t := range times {
		if t.After(last) {
			last = t
		}
	}
	return last
}

func (r *expiry) appeared(obj any) {
	e, ok := obj.(*corev1.Event)
	if !ok {
		return
	}
	r.queue.AddAfter(cache.MetaObjectToName(e), r.life-time.Since(lastSeen(e)))
	if r.count[e.Namespace]++; r.count[e.Namespace] > r.max {
		r.queue.Add(cache.NewObjectName(e.Namespace, ""))
	}
}

func (r *expiry) went(obj any) {
	if m := metaOf(obj); m != nil {
		r.count[m.GetNamespace()]--
	}
}

// sync looks at one Event, or, where the name is empty, at a namespace that has
// too many.
func (r *expiry) sync(ctx context.Context, name cache.ObjectName) error {
	if name.Name == "" {
		return r.trim(ctx, name.Namespace)
	}
	obj, ok, err := r.informer.GetIndexer().GetByKey(name.String())
	if err != nil || !ok {
		return err
	}
	e := obj.(*corev1.Event)
	if left := r.life - time.Since(lastSeen(e)); left > 0 {
		r.queue.AddAfter(name, left)
		return nil
	}
	return r.removeEvent(ctx, e)
}

func (r *expiry) trim(ctx context.Context, namespace string) error {
	objects, err := r.informer.GetIndexer().ByIndex(cache.NamespaceIndex, namespace)
	if err != nil {
		return err
	}
	for _, e := range surplus(objects, r.max) {
		if err := r.removeEvent(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// surplus is the oldest Events of those that are too many, and a tenth more, so
// that the next Event does not cause another round.
func surplus(objects []any, most int) []*corev1.Event {
	if len(objects) <= most {
		return nil
	}
	events := make([]*corev1.Event, len(objects))
	for i, obj := range objects {
		events[i] = obj.(*corev1.Event)
	}
	slices.SortFunc(events, func(a, b *corev1.Event) int {
		return cmp.Or(lastSeen(a).Compare(lastSeen(b)), cmp.Compare(a.Name, b.Name))
	})
	return events[:len(events)-most+most/10]
}

func (r *expiry) removeEvent(ctx context.Context, e *corev1.Event) error {
	err := r.client.CoreV1().Events(e.Namespace).Delete(ctx, e.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{
		UID: &e.UID, ResourceVersion: ptr.To(e.ResourceVersion),
	}})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete event %s: %w", e.Name, err)
	}
	return nil
}
