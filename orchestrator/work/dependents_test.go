package work

import (
	"log/slog"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

// heard is what writes and the queue of orphans are told, in turn.
type heard []string

func (h *heard) Seen(uid types.UID) { *h = append(*h, "seen "+string(uid)) }
func (h *heard) Gone(uid types.UID) { *h = append(*h, "gone "+string(uid)) }

func TestDependents(t *testing.T) {
	pod := func(owners ...metav1.OwnerReference) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-1", UID: "1", OwnerReferences: owners}}
	}
	labelled := pod()
	labelled.Labels = map[string]string{"app": "web"}
	by := func(kind, name string) metav1.OwnerReference {
		controller := true
		return metav1.OwnerReference{Kind: kind, Name: name, Controller: &controller}
	}
	set, other, job := by("ReplicaSet", "web"), by("ReplicaSet", "api"), by("Job", "web")
	add := func(obj *corev1.Pod) func(cache.ResourceEventHandler) {
		return func(h cache.ResourceEventHandler) { h.OnAdd(obj, false) }
	}
	update := func(old, obj *corev1.Pod) func(cache.ResourceEventHandler) {
		return func(h cache.ResourceEventHandler) { h.OnUpdate(old, obj) }
	}
	remove := func(obj any) func(cache.ResourceEventHandler) {
		return func(h cache.ResourceEventHandler) { h.OnDelete(obj) }
	}
	for name, test := range map[string]struct {
		happens func(cache.ResourceEventHandler)
		told    []string
		woken   []string
	}{
		"owned":                 {add(pod(set)), []string{"seen 1"}, []string{"shop/web"}},
		"owned by another kind": {add(pod(job)), []string{"seen 1"}, nil},
		"orphan":                {add(pod()), []string{"seen 1", "orphan 1"}, nil},
		"changed":               {update(pod(set), pod(set)), nil, []string{"shop/web"}},
		"given away":            {update(pod(set), pod(other)), nil, []string{"shop/web", "shop/api"}},
		"let go":                {update(pod(set), pod()), []string{"orphan 1"}, []string{"shop/web"}},
		"orphan, changed":       {update(pod(), pod()), nil, nil},
		"orphan, other labels":  {update(pod(), labelled), []string{"orphan 1"}, nil},
		"removed":               {remove(pod(set)), []string{"gone 1"}, []string{"shop/web"}},
		"orphan, removed":       {remove(pod()), []string{"gone 1"}, nil},
		"removed unseen":        {remove(cache.DeletedFinalStateUnknown{Obj: pod(set)}), []string{"gone 1"}, []string{"shop/web"}},
	} {
		t.Run(name, func(t *testing.T) {
			queue := NewQueue[cache.ObjectName](slog.New(slog.DiscardHandler), nil)
			defer queue.ShutDown()
			var told heard
			test.happens(Dependents[*corev1.Pod]{
				Queue:  queue,
				Owner:  "ReplicaSet",
				Writes: &told,
				Orphan: func(pod *corev1.Pod) { told = append(told, "orphan "+string(pod.UID)) },
			}.Handler())
			var woken []string
			for queue.Len() > 0 {
				key, _ := queue.Get()
				woken = append(woken, key.String())
			}
			if !slices.Equal(told, test.told) || !slices.Equal(woken, test.woken) {
				t.Errorf("told %q, woken %q; want %q, %q", told, woken, test.told, test.woken)
			}
		})
	}
}
