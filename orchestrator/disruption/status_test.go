package disruption

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func ready(name string, is bool) *corev1.Pod {
	c := corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionFalse}
	if is {
		c.Status = corev1.ConditionTrue
	}
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.PodStatus{Conditions: []corev1.PodCondition{c}}}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	leaving := ready("leaving", true)
	leaving.DeletionTimestamp = &metav1.Time{}
	pods := []*corev1.Pod{ready("a", true), ready("b", true), ready("c", true), ready("d", false), leaving}
	n, percent := func(i int) *intstr.IntOrString { v := intstr.FromInt32(int32(i)); return &v }, func(s string) *intstr.IntOrString { v := intstr.FromString(s); return &v }
	for _, test := range []struct {
		name                                string
		min, max                            *intstr.IntOrString
		pods                                []*corev1.Pod
		scale                               int32
		disrupted                           []string
		expected, desired, healthy, allowed int32
	}{
		{name: "of all that are there", min: n(2), pods: pods, expected: 5, desired: 2, healthy: 3, allowed: 1},
		{name: "an eviction under way counts", min: n(2), pods: pods, disrupted: []string{"a"}, expected: 5, desired: 2, healthy: 2},
		{name: "less than wanted", min: n(4), pods: pods, expected: 5, desired: 4, healthy: 3},
		{name: "half of five is three", min: percent("50%"), pods: pods, scale: 5, expected: 5, desired: 3, healthy: 3},
		{name: "one may be missing", max: n(1), pods: pods, scale: 4, expected: 4, desired: 3, healthy: 3},
		{name: "a third of five is two", max: percent("30%"), pods: pods, scale: 5, expected: 5, desired: 3, healthy: 3},
		{name: "more than there are", max: n(9), pods: pods, scale: 5, expected: 5, healthy: 3, allowed: 3},
		{name: "none is asked for", max: n(1), pods: pods, healthy: 3},
		{name: "nothing is said", pods: pods, expected: 5, healthy: 3, allowed: 3},
		{name: "no Pods", min: n(0)},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Generation: 7}, Spec: policyv1.PodDisruptionBudgetSpec{MinAvailable: test.min, MaxUnavailable: test.max}}
			disrupted := map[string]metav1.Time{}
			for _, name := range test.disrupted {
				disrupted[name] = metav1.Time{}
			}
			got := status(b, test.pods, test.scale, disrupted)
			if diff := cmp.Diff([]int32{test.expected, test.desired, test.healthy, test.allowed},
				[]int32{got.ExpectedPods, got.DesiredHealthy, got.CurrentHealthy, got.DisruptionsAllowed}); diff != "" {
				t.Errorf("expected, desired, healthy, allowed (-want +got):\n%s", diff)
			}
			c := apimeta.FindStatusCondition(got.Conditions, policyv1.DisruptionAllowedCondition)
			if want := test.allowed > 0; c == nil || (c.Status == metav1.ConditionTrue) != want || (c.Reason == policyv1.SufficientPodsReason) != want {
				t.Errorf("condition: %+v", c)
			}
			if got.ObservedGeneration != 7 {
				t.Errorf("observed generation %d", got.ObservedGeneration)
			}
		})
	}
}

func TestStillDisrupted(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	at := func(ago time.Duration) metav1.Time { return metav1.NewTime(now.Add(-ago)) }
	leaving := ready("leaving", true)
	leaving.DeletionTimestamp = &metav1.Time{}
	noted := map[string]metav1.Time{"a": at(time.Minute), "b": at(90 * time.Second), "late": at(deletionTimeout), "leaving": at(0), "gone": at(0)}
	left, again := stillDisrupted(noted, []*corev1.Pod{ready("a", true), ready("b", true), ready("late", true), ready("new", true), leaving}, now)
	if diff := cmp.Diff(map[string]metav1.Time{"a": noted["a"], "b": noted["b"]}, left); diff != "" || again != 30*time.Second {
		t.Errorf("look again after %s; (-want +got):\n%s", again, diff)
	}
}

func TestFailed(t *testing.T) {
	t.Parallel()
	b := &policyv1.PodDisruptionBudget{Status: policyv1.PodDisruptionBudgetStatus{DisruptionsAllowed: 3}}
	got := failed(b, errors.New("no such owner"))
	c := apimeta.FindStatusCondition(got.Conditions, policyv1.DisruptionAllowedCondition)
	if got.DisruptionsAllowed != 0 || c == nil || c.Reason != policyv1.SyncFailedReason || c.Message != "no such owner" {
		t.Errorf("%+v", got)
	}
}
