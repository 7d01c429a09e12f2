package resource

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func anEvent() *corev1.Event {
	return &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: "default", Name: "web.1", ResourceVersion: "1"},
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: "default", Name: "web"},
		Reason:         "Killing", Message: "Stopping container web\n", Type: "Normal", Count: 3,
		Source:         corev1.EventSource{Component: "kubelet", Host: "skiff"},
		FirstTimestamp: metav1.NewTime(time.Now().Add(-time.Hour)),
		LastTimestamp:  metav1.NewTime(time.Now().Add(-3 * time.Minute)),
	}
}

func anEventV1() *eventsv1.Event {
	return &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web.2", ResourceVersion: "1"},
		EventTime:  metav1.NewMicroTime(time.Now().Add(-10 * time.Second)),
		Regarding:  corev1.ObjectReference{Kind: "Pod", Namespace: "default", Name: "web"},
		Reason:     "Killing", Note: "Stopping", Type: "Normal", Action: "Stop",
		ReportingController: "skiff.dev/node", ReportingInstance: "skiff",
	}
}

func TestEventRow(t *testing.T) {
	t.Parallel()
	want := []any{"3m", "Normal", "Killing", "pod/web", "", "kubelet, skiff", "Stopping container web", "60m", int64(3), "web.1"}
	if diff := cmp.Diff(want, event().Row(anEvent())); diff != "" {
		t.Errorf("core (-want +got):\n%s", diff)
	}
	want = []any{"10s", "Normal", "Killing", "pod/web", "", "skiff.dev/node, skiff", "Stopping", "10s", int64(1), "web.2"}
	view := eventV1(event())
	if diff := cmp.Diff(want, view.Row(anEventV1())); diff != "" {
		t.Errorf("events.k8s.io (-want +got):\n%s", diff)
	}
	if len(event().Columns) != len(want) {
		t.Errorf("%d columns for %d cells", len(event().Columns), len(want))
	}
}

func TestEventViews(t *testing.T) {
	t.Parallel()
	core := event()
	view := eventV1(core)
	if view.Storage() != core.Storage() {
		t.Errorf("kept in %q and %q", view.Storage(), core.Storage())
	}
	given := anEventV1()
	given.Series = &eventsv1.EventSeries{Count: 2, LastObservedTime: given.EventTime}
	given.Related = &corev1.ObjectReference{Kind: "Node", Name: "skiff"}
	stored, err := view.ToStored(given)
	if err != nil {
		t.Fatal(err)
	}
	shown, err := view.FromStored(stored)
	if err != nil {
		t.Fatal(err)
	}
	want := given.DeepCopy()
	want.SetGroupVersionKind(view.GVK)
	if diff := cmp.Diff(want, shown); diff != "" {
		t.Errorf("there and back (-want +got):\n%s", diff)
	}
	if got := stored.(*corev1.Event); got.Message != "Stopping" || got.InvolvedObject.Name != "web" || got.Series.Count != 2 {
		t.Errorf("stored %+v", got)
	}
}

func TestEventValidation(t *testing.T) {
	t.Parallel()
	core, view := event(), eventV1(event())
	if errs := core.Validate(anEvent()); len(errs) > 0 {
		t.Errorf("core: %v", errs)
	}
	if errs := view.Validate(anEventV1()); len(errs) > 0 {
		t.Errorf("events.k8s.io: %v", errs)
	}
	if errs := view.Validate(fromCoreEvent(anEvent())); len(errs) > 0 {
		t.Errorf("a core event seen through events.k8s.io: %v", errs)
	}

	elsewhere := anEvent()
	elsewhere.InvolvedObject.Namespace = "other"
	if errs := core.Validate(elsewhere); len(errs) != 1 || errs[0].Error() != `involvedObject.namespace: Invalid value: "other": does not match event.namespace` {
		t.Errorf("another namespace: %v", errs)
	}
	tests := []struct {
		name string
		edit func(*eventsv1.Event)
		want string
	}{
		{"no time", func(e *eventsv1.Event) { e.EventTime = metav1.MicroTime{} }, "eventTime: Required value"},
		{"no controller", func(e *eventsv1.Event) { e.ReportingController = "" }, "reportingController: Required value"},
		{"no action", func(e *eventsv1.Event) { e.Action = "" }, "action: Required value"},
		{"long note", func(e *eventsv1.Event) { e.Note = strings.Repeat("x", 1025) }, "can have at most 1024 characters"},
		{"odd type", func(e *eventsv1.Event) { e.Type = "Odd" }, "has invalid value: Odd"},
		{"older field", func(e *eventsv1.Event) { e.DeprecatedCount = 1 }, `count: Invalid value: "": needs to be unset`},
		{"short series", func(e *eventsv1.Event) { e.Series = &eventsv1.EventSeries{Count: 1} }, "should be at least 2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := anEventV1()
			tt.edit(e)
			errs := view.Validate(e)
			if len(errs) == 0 || !strings.Contains(errs.ToAggregate().Error(), tt.want) {
				t.Errorf("errors are %v, want %s", errs, tt.want)
			}
		})
	}
	changed := anEventV1()
	changed.Note = "other"
	if errs := view.ValidateUpdate(changed, anEventV1()); len(errs) == 0 || !strings.Contains(errs.ToAggregate().Error(), `message: Invalid value: "other": field is immutable`) {
		t.Errorf("changed note: %v", errs)
	}
}

func TestEventFields(t *testing.T) {
	t.Parallel()
	set := event().Fields(anEvent())
	if set["involvedObject.name"] != "web" || set["source"] != "kubelet" || set["type"] != "Normal" {
		t.Errorf("core: %v", set)
	}
	if set := eventV1(event()).Fields(anEventV1()); set["regarding.kind"] != "Pod" || set["reportingController"] != "skiff.dev/node" {
		t.Errorf("events.k8s.io: %v", set)
	}
}
