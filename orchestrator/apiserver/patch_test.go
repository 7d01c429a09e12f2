package apiserver

import (
	"strings"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const webDeployment = `{"metadata":{"name":"web","labels":{"a":"1"}},"spec":{"template":{"spec":{"containers":[
	{"name":"one","image":"one:1"},{"name":"two","image":"two:1"}]}}}}`

func TestPatch(t *testing.T) {
	t.Parallel()
	const j, m, s = types.JSONPatchType, types.MergePatchType, types.StrategicMergePatchType
	for _, row := range []struct {
		name  string
		kind  types.PatchType
		body  string
		code  int
		check func(d *appsv1.Deployment) bool
	}{
		{"strategic merges lists by key", s, `{"spec":{"template":{"spec":{"containers":[{"name":"two","image":"two:2"}]}}}}`, 200,
			func(d *appsv1.Deployment) bool {
				c := d.Spec.Template.Spec.Containers
				return len(c) == 2 && c[0].Image == "one:1" && c[1].Image == "two:2" && d.Generation == 2
			}},
		{"strategic deletes", s, `{"metadata":{"labels":{"a":null}},"spec":{"template":{"spec":{"containers":[{"name":"one","$patch":"delete"}]}}}}`, 200,
			func(d *appsv1.Deployment) bool {
				return len(d.Labels) == 0 && len(d.Spec.Template.Spec.Containers) == 1
			}},
		{"merge replaces lists", m, `{"spec":{"template":{"spec":{"containers":[{"name":"three"}]}}}}`, 200,
			func(d *appsv1.Deployment) bool { return len(d.Spec.Template.Spec.Containers) == 1 }},
		{"merge of metadata keeps the generation", m, `{"metadata":{"annotations":{"x":"y"}}}`, 200,
			func(d *appsv1.Deployment) bool { return d.Annotations["x"] == "y" && d.Generation == 1 }},
		{"json", j, `[{"op":"test","path":"/kind","value":"Deployment"},{"op":"replace","path":"/spec/replicas","value":4}]`, 200,
			func(d *appsv1.Deployment) bool { return *d.Spec.Replicas == 4 }},
		{"json with a failing test", j, `[{"op":"test","path":"/spec/replicas","value":9}]`, 422, nil},
		{"json without a path", j, `[{"op":"remove","path":"/spec/none"}]`, 422, nil},
		{"json that is none", j, `{"op":"remove"}`, 400, nil},
		{"json with too many operations", j, "[" + strings.TrimSuffix(strings.Repeat(`{"op":"test","path":"/kind","value":"Deployment"},`, maxPatchOperations+1), ",") + "]", 413, nil},
		{"json that copies without end", j, `[{"op":"add","path":"/metadata/annotations","value":{"a":"` + strings.Repeat("x", 100000) + `"}}` +
			strings.Repeat(`,{"op":"copy","from":"/metadata/annotations","path":"/metadata/labels"}`, 40) + `]`, 422, nil},
		{"merge that is none", m, `[]`, 400, nil},
		{"merge with null", m, `null`, 400, nil},
		{"strategic that is none", s, `"x"`, 400, nil},
		{"strategic without a merge key", s, `{"spec":{"template":{"spec":{"containers":[{"image":"x"}]}}}}`, 400, nil},
		{"wrong type", m, `{"spec":{"replicas":"many"}}`, 400, nil},
		{"wrong type, strategic", s, `{"spec":{"replicas":"many"}}`, 400, nil},
		{"invalid", m, `{"spec":{"replicas":-1}}`, 422, nil},
		{"rename", m, `{"metadata":{"name":"other"}}`, 400, nil},
		{"stale", m, `{"metadata":{"resourceVersion":"1"}}`, 409, nil},
		{"another uid", m, `{"metadata":{"uid":"other"}}`, 409, nil},
		{"no change", s, `{"metadata":{"labels":{"a":"1"}}}`, 200, func(d *appsv1.Deployment) bool { return d.Generation == 1 }},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			api := newTestAPI(t, false)
			_, body := api.do(t, "POST", deployments, webDeployment)
			created := mustParse[appsv1.Deployment](t, body)
			res, body := api.do(t, "PATCH", deployments+"/web", row.body, "Content-Type", string(row.kind))
			if res.StatusCode != row.code {
				t.Fatalf("%d %.500s", res.StatusCode, body)
			}
			if row.check == nil {
				return
			}
			patched := mustParse[appsv1.Deployment](t, body)
			if !row.check(patched) {
				t.Errorf("patched to %s", body)
			}
			if row.name == "no change" && patched.ResourceVersion != created.ResourceVersion {
				t.Errorf("version %s became %s", created.ResourceVersion, patched.ResourceVersion)
			}
		})
	}
}

func TestPatchOfNothing(t *testing.T) {
	t.Parallel()
	api := newTestAPI(t, false)
	res, body := api.do(t, "PATCH", configMaps+"/none", `{}`, "Content-Type", string(types.MergePatchType))
	if status := parseStatus(t, body); res.StatusCode != 404 || status.Details.Kind != "configmaps" {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

// Patches that collide are applied one after the other; none is lost.
func TestPatchesDoNotConflict(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, api *testAPI) {
		client := api.proto(t).CoreV1().ConfigMaps("default")
		if _, err := client.Create(t.Context(), configMap("x"), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		names := "abcdefgh"
		for _, name := range names {
			group.Go(func() {
				patch := []byte(`{"data":{"` + string(name) + `":"1"}}`)
				if _, err := client.Patch(t.Context(), "x", types.StrategicMergePatchType, patch, metav1.PatchOptions{}); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		got, err := client.Get(t.Context(), "x", metav1.GetOptions{})
		if err != nil || len(got.Data) != len(names) {
			t.Errorf("%v, %v", got.Data, err)
		}
	})
}

func TestScale(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, api *testAPI) {
		client := api.proto(t).AppsV1().Deployments("default")
		created, err := client.Create(t.Context(), &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "web"}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		scale, err := client.GetScale(t.Context(), "web", metav1.GetOptions{})
		if err != nil || scale.Spec.Replicas != 1 || scale.UID != created.UID || scale.ResourceVersion != created.ResourceVersion {
			t.Fatalf("%+v, %v", scale, err)
		}
		scale.Spec.Replicas = 3
		raised, err := client.UpdateScale(t.Context(), "web", scale, metav1.UpdateOptions{})
		if err != nil || raised.Spec.Replicas != 3 {
			t.Fatalf("%+v, %v", raised, err)
		}
		if _, err := client.UpdateScale(t.Context(), "web", scale, metav1.UpdateOptions{}); err == nil {
			t.Error("a stale scale was accepted")
		}
		for _, kind := range []types.PatchType{types.MergePatchType, types.StrategicMergePatchType} {
			if _, err := client.Patch(t.Context(), "web", kind, []byte(`{"spec":{"replicas":5}}`), metav1.PatchOptions{}, "scale"); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
		}
		scale.Spec.Replicas, scale.ResourceVersion = -1, ""
		if _, err := client.UpdateScale(t.Context(), "web", scale, metav1.UpdateOptions{}); err == nil {
			t.Error("a negative scale was accepted")
		}
		got, err := client.Get(t.Context(), "web", metav1.GetOptions{})
		if err != nil || *got.Spec.Replicas != 5 || got.Generation != 3 {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

func TestBinding(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, api *testAPI) {
		client := api.proto(t).CoreV1().Pods("default")
		if _, err := client.Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		binding := &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Target: corev1.ObjectReference{Kind: "Node", Name: "skiff"}}
		if err := client.Bind(t.Context(), binding, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		bound, err := client.Get(t.Context(), "p", metav1.GetOptions{})
		if err != nil || bound.Spec.NodeName != "skiff" || len(bound.Status.Conditions) != 1 || bound.Status.Conditions[0].Type != corev1.PodScheduled {
			t.Errorf("%+v, %v", bound, err)
		}
		err = client.Bind(t.Context(), binding, metav1.CreateOptions{})
		if err == nil || !strings.Contains(err.Error(), `pod p is already assigned to node "skiff"`) {
			t.Errorf("second binding: %v", err)
		}
	})
}
