package apiserver

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func TestMarkDeleted(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	going := func(grace int64) func(*corev1.Pod) {
		return func(p *corev1.Pod) { setDeletion(p, now.Add(time.Duration(grace)*time.Second), grace) }
	}
	held := func(finalizers ...string) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Finalizers = finalizers }
	}
	for name, row := range map[string]struct {
		pod        []func(*corev1.Pod)
		own        int64
		options    metav1.DeleteOptions
		complete   bool
		grace      int64
		finalizers []string
	}{
		"no grace":                    {complete: true},
		"its own grace":               {own: 30, grace: 30},
		"another grace":               {own: 30, options: metav1.DeleteOptions{GracePeriodSeconds: new(int64(5))}, grace: 5},
		"no time":                     {own: 30, options: metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}, complete: true},
		"less than no time":           {own: 30, options: metav1.DeleteOptions{GracePeriodSeconds: new(int64(-5))}, grace: 1},
		"grace for one that has none": {options: metav1.DeleteOptions{GracePeriodSeconds: new(int64(60))}, complete: true},
		"again":                       {pod: []func(*corev1.Pod){going(30)}, own: 30, grace: 30},
		"again, shorter":              {pod: []func(*corev1.Pod){going(30)}, own: 30, options: metav1.DeleteOptions{GracePeriodSeconds: new(int64(10))}, grace: 10},
		"again, longer":               {pod: []func(*corev1.Pod){going(30)}, own: 30, options: metav1.DeleteOptions{GracePeriodSeconds: new(int64(60))}, grace: 30},
		"again, at once":              {pod: []func(*corev1.Pod){going(30)}, own: 30, options: metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}, complete: true},
		"at once, but held":           {pod: []func(*corev1.Pod){going(30), held("x/y")}, own: 30, options: metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}, finalizers: []string{"x/y"}},
		"held":                        {pod: []func(*corev1.Pod){held("x/y")}, finalizers: []string{"x/y"}},
		"foreground":                  {options: metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationForeground)}, finalizers: []string{"foregroundDeletion"}},
		"orphan":                      {options: metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationOrphan)}, finalizers: []string{"orphan"}},
		//lint:ignore SA1019 old clients still send it
		"orphan, the old way":          {options: metav1.DeleteOptions{OrphanDependents: new(true)}, finalizers: []string{"orphan"}},
		"background":                   {options: metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)}, complete: true},
		"foreground after all":         {pod: []func(*corev1.Pod){held("orphan", "x/y")}, options: metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationForeground)}, finalizers: []string{"x/y", "foregroundDeletion"}},
		"background after foreground":  {pod: []func(*corev1.Pod){going(0), held("foregroundDeletion")}, options: metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)}, complete: true},
		"no policy keeps what is held": {pod: []func(*corev1.Pod){held("orphan")}, finalizers: []string{"orphan"}},
	} {
		pod := &corev1.Pod{}
		for _, f := range row.pod {
			f(pod)
		}
		markDeleted(pod, row.own, &row.options, now)
		if deletionComplete(pod) != row.complete || !slices.Equal(pod.Finalizers, row.finalizers) || *pod.DeletionGracePeriodSeconds != row.grace {
			t.Errorf("%s: complete %v, finalizers %v, grace %d", name, deletionComplete(pod), pod.Finalizers, *pod.DeletionGracePeriodSeconds)
		}
		if want := now.Add(time.Duration(row.grace) * time.Second); len(row.pod) == 0 && !pod.DeletionTimestamp.Time.Equal(want) {
			t.Errorf("%s: due at %s, want %s", name, pod.DeletionTimestamp, want)
		}
	}
}

func TestGracefulDeletion(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, api *testAPI) {
		client := api.proto(t).CoreV1().Pods("default")
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: corev1.PodSpec{NodeName: "skiff"}}
		created, err := client.Create(t.Context(), pod, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := client.Delete(t.Context(), "p", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		going, err := client.Get(t.Context(), "p", metav1.GetOptions{})
		if err != nil || going.DeletionTimestamp == nil || *going.DeletionGracePeriodSeconds != 30 {
			t.Fatalf("%+v, %v", going, err)
		}
		if err := client.Delete(t.Context(), "p", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		same, err := client.Get(t.Context(), "p", metav1.GetOptions{})
		if err != nil || cmp.Diff(going, same) != "" {
			t.Errorf("the second delete changed it: %+v, %v", same, err)
		}
		same.DeletionTimestamp, same.Labels = nil, map[string]string{"a": "b"}
		updated, err := client.Update(t.Context(), same, metav1.UpdateOptions{})
		if err != nil || updated.DeletionTimestamp == nil || updated.Labels["a"] != "b" {
			t.Errorf("an update undid the delete: %+v, %v", updated, err)
		}
		end := metav1.DeleteOptions{GracePeriodSeconds: new(int64(0)), Preconditions: &metav1.Preconditions{UID: new(created.UID)}}
		if err := client.Delete(t.Context(), "p", end); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Get(t.Context(), "p", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("get after the end: %v", err)
		}
		if err := client.Delete(t.Context(), "p", end); !apierrors.IsNotFound(err) {
			t.Errorf("delete after the end: %v", err)
		}
	})
}

func TestFinalizers(t *testing.T) {
	t.Parallel()
	api := newTestAPI(t, false)
	client := api.proto(t).CoreV1().ConfigMaps("default")
	cm := configMap("x")
	cm.Finalizers = []string{"test/hold"}
	if _, err := client.Create(t.Context(), cm, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := client.Delete(t.Context(), "x", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	held, err := client.Get(t.Context(), "x", metav1.GetOptions{})
	if err != nil || held.DeletionTimestamp == nil {
		t.Fatalf("%+v, %v", held, err)
	}
	_, err = client.Patch(t.Context(), "x", types.MergePatchType, []byte(`{"metadata":{"finalizers":["test/hold","test/more"]}}`), metav1.PatchOptions{})
	if !apierrors.IsInvalid(err) {
		t.Errorf("a finalizer was added to what is being deleted: %v", err)
	}
	last, err := client.Patch(t.Context(), "x", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
	if err != nil || last.ResourceVersion == held.ResourceVersion {
		t.Errorf("%+v, %v", last, err)
	}
	if _, err := client.Get(t.Context(), "x", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("get after the last finalizer: %v", err)
	}
}

func TestDeleteAnswers(t *testing.T) {
	t.Parallel()
	api := newTestAPI(t, false)
	created := mustCreateMaps(t, api, "a")
	_, body := api.do(t, "DELETE", configMaps+"/a", "")
	status := parseStatus(t, body)
	if status.Status != metav1.StatusSuccess || status.Details.Name != "a" || status.Details.Kind != "configmaps" || status.Details.UID != created.UID {
		t.Errorf("%s", body)
	}
	mustCreateMaps(t, api, "b")
	res, body := api.do(t, "DELETE", configMaps+"/b", `{"kind":"DeleteOptions","apiVersion":"apps/v1","propagationPolicy":"Foreground"}`)
	if got := mustParse[corev1.ConfigMap](t, body); res.StatusCode != 200 || got.DeletionTimestamp == nil {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

func TestDeleteCollection(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, api *testAPI) {
		mustCreateMaps(t, api, "a1", "a2", "a3", "b1")
		client := api.proto(t).CoreV1().ConfigMaps("default")
		if err := client.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "first=a"}); err != nil {
			t.Fatal(err)
		}
		list, err := client.List(t.Context(), metav1.ListOptions{})
		if err != nil || !slices.Equal(namesOf(list), []string{"b1"}) {
			t.Errorf("left: %v, %v", namesOf(list), err)
		}
	})
}

// A namespace that is deleted takes nothing new, and goes when it is empty.
func TestNamespaceDeletion(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, api *testAPI) {
		client := api.proto(t).CoreV1()
		if err := client.Namespaces().Delete(t.Context(), "other", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		namespace, err := client.Namespaces().Get(t.Context(), "other", metav1.GetOptions{})
		if err != nil || namespace.Status.Phase != corev1.NamespaceTerminating || namespace.DeletionTimestamp == nil ||
			!slices.Equal(namespace.Spec.Finalizers, []corev1.FinalizerName{corev1.FinalizerKubernetes}) {
			t.Fatalf("%+v, %v", namespace, err)
		}
		_, err = client.ConfigMaps("other").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "x"}}, metav1.CreateOptions{})
		if !apierrors.IsForbidden(err) || !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
			t.Errorf("create in a namespace that goes: %v", err)
		}
		if err := client.Namespaces().Delete(t.Context(), "other", metav1.DeleteOptions{}); err != nil {
			t.Errorf("second delete: %v", err)
		}
		namespace.Spec.Finalizers = nil
		if _, err := client.Namespaces().Finalize(t.Context(), namespace, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Namespaces().Get(t.Context(), "other", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("get after finalize: %v", err)
		}
	})
}
