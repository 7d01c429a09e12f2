package work

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"
)

// Events writes Events in the names of components. Whoever makes one closes it.
type Events struct{ broadcaster record.EventBroadcaster }

// NewEvents makes Events that are written through client until ctx ends.
func NewEvents(ctx context.Context, client kubernetes.Interface) Events {
	b := record.NewBroadcaster(record.WithContext(ctx))
	b.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.CoreV1().Events("")})
	return Events{b}
}

// By is what a component of that name, which Events show as their source, writes
// them with.
func (e Events) By(component string) record.EventRecorder { return e.On("", component) }

// On is By for a component of a node.
func (e Events) On(node, component string) record.EventRecorder {
	return e.broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: component, Host: node})
}

// Close writes no more.
func (e Events) Close() { e.broadcaster.Shutdown() }
