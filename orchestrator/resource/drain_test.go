package resource

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestDrainTime(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{
		"": DefaultDrain, "0": 0, "30": 30 * time.Second, "3600": time.Hour,
		"3601": DefaultDrain, "0.5": DefaultDrain, "-1": DefaultDrain, "long": DefaultDrain,
	} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{DrainAnnotation: value}}}
		if got := DrainTime(pod); got != want {
			t.Errorf("%q: got %s, want %s", value, got, want)
		}
	}
}
