package main

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"
)

func TestThreeWay(t *testing.T) {
	t.Parallel()
	deployment := schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}
	thing := schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Thing"}
	tests := []struct {
		name                  string
		gvk                   schema.GroupVersionKind
		last, current, wanted string // specs
		patch                 string // of the spec
		kind                  types.PatchType
	}{
		{"a value changed", deployment, "{replicas: 1}", "{replicas: 1, paused: false}", "{replicas: 3}",
			"{replicas: 3}", types.StrategicMergePatchType},
		{"a field removed", deployment, "{replicas: 1, minReadySeconds: 5}", "{replicas: 1, minReadySeconds: 5}", "{replicas: 1}",
			"{minReadySeconds: null}", types.StrategicMergePatchType},
		{"what others set stays", deployment, "{replicas: 1}", "{replicas: 1, minReadySeconds: 5}", "{replicas: 1}",
			"", types.StrategicMergePatchType},
		{"what others changed is put back", deployment, "{replicas: 1}", "{replicas: 9}", "{replicas: 1}",
			"{replicas: 1}", types.StrategicMergePatchType},
		{"a container is merged by name", deployment,
			"{template: {spec: {containers: [{name: a, image: 'a:1'}]}}}",
			"{template: {spec: {containers: [{name: a, image: 'a:1', imagePullPolicy: Always}, {name: side, image: s}]}}}",
			"{template: {spec: {containers: [{name: a, image: 'a:2'}]}}}",
			"{template: {spec: {$setElementOrder/containers: [{name: a}], containers: [{name: a, image: 'a:2'}]}}}", types.StrategicMergePatchType},
		{"a container is removed", deployment,
			"{template: {spec: {containers: [{name: a, image: a}, {name: b, image: b}]}}}",
			"{template: {spec: {containers: [{name: a, image: a}, {name: b, image: b}]}}}",
			"{template: {spec: {containers: [{name: a, image: a}]}}}",
			"{template: {spec: {$setElementOrder/containers: [{name: a}], containers: [{$patch: delete, name: b}]}}}", types.StrategicMergePatchType},
		{"a kind that is not Kubernetes' own", thing, "{a: 1, b: 2}", "{a: 1, b: 2, c: 3}", "{a: 5}",
			"{a: 5, b: null}", types.MergePatchType},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			object := func(spec, last string) *unstructured.Unstructured {
				u := &unstructured.Unstructured{Object: map[string]any{"spec": decode(t, spec)}}
				u.SetGroupVersionKind(test.gvk)
				u.SetName("web")
				if last != "" {
					u.SetAnnotations(map[string]string{corev1.LastAppliedConfigAnnotation: last})
				}
				return u
			}
			encode := func(u *unstructured.Unstructured) string {
				raw, err := u.MarshalJSON()
				if err != nil {
					t.Fatal(err)
				}
				return string(raw)
			}
			last := encode(object(test.last, ""))
			modified := encode(object(test.wanted, last)) // the annotation is not what is tested
			patch, kind, err := threeWay(test.gvk, object(test.current, last), []byte(modified))
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]any
			if err := json.Unmarshal(patch, &got); err != nil {
				t.Fatal(err)
			}
			want := map[string]any{}
			if test.patch != "" {
				want["spec"] = decode(t, test.patch)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("patch (-want +got):\n%s", diff)
			}
			if kind != test.kind {
				t.Errorf("kind of patch %s, want %s", kind, test.kind)
			}
		})
	}
}

func decode(t *testing.T, text string) map[string]any {
	t.Helper()
	var value map[string]any
	if err := yaml.Unmarshal([]byte(text), &value); err != nil {
		t.Fatal(err)
	}
	return value
}
