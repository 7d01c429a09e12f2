package resource

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"
)

const soundPod = `
metadata: {name: p, namespace: default}
spec:
  containers:
  - name: c
    image: nginx:1.27
`

const soundDeployment = `
metadata: {name: d, namespace: default}
spec:
  selector: {matchLabels: {app: d}}
  template:
    metadata: {labels: {app: d}}
    spec:
      containers:
      - name: c
        image: nginx:1.27
`

// build decodes a sound object of the kind, lays patch (in YAML; lists are
// replaced) over it, and defaults the result.
func build[T runtime.Object](t testing.TB, def *Definition, obj T, sound, patch string) T {
	t.Helper()
	base, over := map[string]any{}, map[string]any{}
	if err := yaml.Unmarshal([]byte(sound), &base); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte(patch), &over); err != nil {
		t.Fatalf("read %q: %v", patch, err)
	}
	data, err := yaml.Marshal(overlay(base, over))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(data, obj); err != nil {
		t.Fatalf("decode %s: %v", data, err)
	}
	def.Default(obj)
	return obj
}

func buildPod(t testing.TB, patch string) *corev1.Pod {
	return build(t, pod(), &corev1.Pod{}, soundPod, patch)
}

func buildDeployment(t testing.TB, patch string) *appsv1.Deployment {
	return build(t, deployment(), &appsv1.Deployment{}, soundDeployment, patch)
}

func overlay(base, over map[string]any) map[string]any {
	for key, value := range over {
		b, isMap := base[key].(map[string]any)
		o, both := value.(map[string]any)
		switch {
		case value == nil:
			delete(base, key)
		case isMap && both:
			base[key] = overlay(b, o)
		default:
			base[key] = value
		}
	}
	return base
}

// checkErrors compares errors with the texts expected. A text that ends in
// "…" is the beginning of one.
func checkErrors(t *testing.T, errs field.ErrorList, want []string) {
	t.Helper()
	var got []string
	for i, err := range errs {
		text := err.Error()
		if i < len(want) {
			if begin, ok := strings.CutSuffix(want[i], "…"); ok && strings.HasPrefix(text, begin) {
				text = want[i]
			}
		}
		got = append(got, text)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

type refusal struct {
	patch string
	want  []string
}

// container is a patch that gives the one container of a Pod more fields.
func container(fields string) string {
	return fmt.Sprintf("spec: {containers: [{name: c, image: 'nginx:1.27', %s}]}", fields)
}

// mounted is a patch with one volume.
func mounted(source string) string {
	return fmt.Sprintf("spec: {volumes: [{name: v, %s}]}", source)
}
