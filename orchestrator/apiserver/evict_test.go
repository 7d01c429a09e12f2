package apiserver

import (
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"skiff/orchestrator/resource"
)

// TestEvict evicts Pods past budgets, as kubectl drain does. No controller runs:
// the test says what a budget's status is.
func TestEvict(t *testing.T) {
	t.Parallel()
	api := newTestAPI(t, false, func(o *Options) { o.Resources = resource.All(resource.Options{}) })
	client := api.proto(t)
	pods, budgets := client.CoreV1().Pods("default"), client.PolicyV1().PodDisruptionBudgets("default")
	pod := func(name, app string, phase corev1.PodPhase, ready corev1.ConditionStatus) {
		t.Helper()
		p := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": app}},
			Spec:       corev1.PodSpec{NodeName: resource.NodeName, Containers: []corev1.Container{{Name: "c", Image: "i"}}},
		}
		made, err := pods.Create(t.Context(), p, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		made.Status.Phase = phase
		made.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}
		if _, err := pods.UpdateStatus(t.Context(), made, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	budget := func(name, app string, st policyv1.PodDisruptionBudgetStatus) {
		t.Helper()
		b := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: name}}
		b.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
		made, err := budgets.Create(t.Context(), b, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		made.Status = st
		if _, err := budgets.UpdateStatus(t.Context(), made, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	evict := func(name string, options *metav1.DeleteOptions) error {
		eviction := &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}, DeleteOptions: options}
		// EvictV1 would try again, ten times, as often as the answer says.
		return client.CoreV1().RESTClient().Post().MaxRetries(0).Namespace("default").Resource("pods").Name(name).SubResource("eviction").
			Body(eviction).Do(t.Context()).Error()
	}
	refused := func(err error, cause string) {
		t.Helper()
		var status apierrors.APIStatus
		if !errors.As(err, &status) || !apierrors.IsTooManyRequests(err) ||
			status.Status().Message != "Cannot evict pod as it would violate the pod's disruption budget." ||
			len(status.Status().Details.Causes) != 1 || status.Status().Details.Causes[0].Message != cause {
			t.Errorf("%#v, want to be refused with %q", err, cause)
		}
	}
	leaves := func(name string) *corev1.Pod {
		t.Helper()
		p, err := pods.Get(t.Context(), name, metav1.GetOptions{})
		if err != nil || p.DeletionTimestamp == nil {
			t.Fatalf("%s: %+v, %v", name, p, err)
		}
		return p
	}

	budget("one", "web", policyv1.PodDisruptionBudgetStatus{ObservedGeneration: 1, DisruptionsAllowed: 1, DesiredHealthy: 2, CurrentHealthy: 3, ExpectedPods: 3})
	pod("web-1", "web", corev1.PodRunning, corev1.ConditionTrue)
	pod("web-2", "web", corev1.PodRunning, corev1.ConditionTrue)
	pod("web-3", "web", corev1.PodRunning, corev1.ConditionFalse)
	pod("web-4", "web", corev1.PodPending, corev1.ConditionFalse)
	if err := evict("web-1", &metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
		t.Errorf("dry run: %v", err)
	}
	if err := evict("web-1", &metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions("another")}); !apierrors.IsConflict(err) {
		t.Errorf("another Pod of that name: %v", err)
	}
	if err := evict("web-1", &metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](7)}); err != nil {
		t.Fatal(err)
	}
	p := leaves("web-1")
	last := p.Status.Conditions[len(p.Status.Conditions)-1]
	if *p.DeletionGracePeriodSeconds != 7 || last.Type != corev1.DisruptionTarget || last.Reason != "EvictionByEvictionAPI" {
		t.Errorf("evicted with grace %d, %+v", *p.DeletionGracePeriodSeconds, last)
	}
	b, err := budgets.Get(t.Context(), "one", metav1.GetOptions{})
	if _, noted := b.Status.DisruptedPods["web-1"]; err != nil || !noted || b.Status.DisruptionsAllowed != 0 || b.Status.Conditions[0].Reason != policyv1.InsufficientPodsReason {
		t.Errorf("budget after an eviction: %+v, %v", b.Status, err)
	}
	refused(evict("web-2", nil), "The disruption budget one needs 2 healthy pods and has 3 currently")
	// These do no work that the budget could miss; and who leaves already may be
	// told so again.
	for _, name := range []string{"web-3", "web-4", "web-1"} {
		if err := evict(name, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		leaves(name)
	}

	budget("unseen", "new", policyv1.PodDisruptionBudgetStatus{DisruptionsAllowed: 1})
	pod("new", "new", corev1.PodRunning, corev1.ConditionTrue)
	refused(evict("new", nil), "The disruption budget unseen is still being processed by the server.")

	budget("two", "web", policyv1.PodDisruptionBudgetStatus{ObservedGeneration: 1, DisruptionsAllowed: 1})
	if err := evict("web-2", nil); !apierrors.IsInternalError(err) {
		t.Errorf("two budgets: %v", err)
	}
	if err := evict("nobody", nil); !apierrors.IsNotFound(err) {
		t.Errorf("no such Pod: %v", err)
	}
	pod("free", "free", corev1.PodRunning, corev1.ConditionTrue)
	if err := evict("free", nil); err != nil {
		t.Errorf("without a budget: %v", err)
	}
}

func TestTakeIsBounded(t *testing.T) {
	t.Parallel()
	b := &policyv1.PodDisruptionBudget{Status: policyv1.PodDisruptionBudgetStatus{DisruptionsAllowed: 2 * mostDisrupted}}
	now := time.Unix(1, 0)
	for i := range mostDisrupted {
		if err := take(b, string(rune('0'+i)), now); err != nil {
			t.Fatal(err)
		}
	}
	if err := take(b, "one more", now); !apierrors.IsForbidden(err) {
		t.Errorf("one more: %v", err)
	}
}
