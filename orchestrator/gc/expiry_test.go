package gc

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func anEvent(n int, last time.Time) *corev1.Event {
	return &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("web.%04d", n)},
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: "default", Name: "web"},
		LastTimestamp:  metav1.NewTime(last),
	}
}

func TestLastSeen(t *testing.T) {
	t.Parallel()
	base := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name  string
		event corev1.Event
		want  time.Time
	}{
		{"only created", corev1.Event{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(base)}}, base},
		{"repeated", corev1.Event{LastTimestamp: metav1.NewTime(base.Add(time.Minute)), ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(base)}}, base.Add(time.Minute)},
		{"newer form", corev1.Event{EventTime: metav1.NewMicroTime(base)}, base},
		{"series", corev1.Event{EventTime: metav1.NewMicroTime(base), Series: &corev1.EventSeries{LastObservedTime: metav1.NewMicroTime(base.Add(time.Hour))}}, base.Add(time.Hour)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := lastSeen(&tt.event); !got.Equal(tt.want) {
				t.Errorf("last seen %v, want %v", got, tt.want)
			}
		})
	}
}

func TestSurplus(t *testing.T) {
	t.Parallel()
	base := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	var events []any
	for i := range 105 {
		events = append(events, anEvent(i, base.Add(-time.Duration(i)*time.Minute)))
	}
	got := surplus(events, 100)
	if len(got) != 15 || got[0].Name != "web.0104" || got[14].Name != "web.0090" {
		t.Errorf("%d events, from %s", len(got), got[0].Name)
	}
	if got := surplus(events[:100], 100); len(got) != 0 {
		t.Errorf("%d events though there are not too many", len(got))
	}
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	create := func(e *corev1.Event) {
		if _, err := c.CoreV1().Events("default").Create(t.Context(), e, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	names := func(ctx context.Context) map[string]bool {
		list, err := c.CoreV1().Events("default").List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil
		}
		all := map[string]bool{}
		for _, e := range list.Items {
			all[e.Name] = true
		}
		return all
	}
	// Seen in the future stands for seen lately; so the test has no race with the
	// clock.
	create(anEvent(0, time.Now().Add(time.Hour)))
	for i := range 12 {
		create(anEvent(i+1, time.Now().Add(time.Duration(i+2)*time.Hour)))
	}
	create(anEvent(90, time.Time{}))
	background(t, func(ctx context.Context) error { return c.controller.runExpiry(ctx, time.Millisecond, 11) })
	eventually(t, "the old one and those too many are gone", func(ctx context.Context) bool {
		all := names(ctx)
		return len(all) > 0 && len(all) <= 11 && !all["web.0090"] && !all["web.0000"] && all["web.0012"]
	})
}
