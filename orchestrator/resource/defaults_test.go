package resource

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write what comes out as what is expected")

// TestDefaults compares what Default and then PrepareCreate make of each
// testdata/defaults/*.in.yaml with the *.out.yaml beside it.
func TestDefaults(t *testing.T) {
	t.Parallel()
	inputs, err := filepath.Glob("testdata/defaults/*.in.yaml")
	if err != nil || len(inputs) == 0 {
		t.Fatalf("find inputs: %v, %d found", err, len(inputs))
	}
	for _, input := range inputs {
		t.Run(filepath.Base(input), func(t *testing.T) {
			t.Parallel()
			def, obj := readObject(t, input)
			def.Default(obj)
			def.PrepareCreate(obj)
			got, err := yaml.Marshal(obj)
			if err != nil {
				t.Fatal(err)
			}
			golden := strings.Replace(input, ".in.", ".out.", 1)
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("defaults (-want +got):\n%s", diff)
			}
			again := obj.DeepCopyObject()
			def.Default(again)
			if diff := cmp.Diff(obj, again); diff != "" {
				t.Errorf("defaulting twice changes the object:\n%s", diff)
			}
		})
	}
}

// readObject reads a manifest of one of the kinds of this package.
func readObject(t *testing.T, file string) (*Definition, runtime.Object) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var kind struct{ Kind string }
	if err := yaml.Unmarshal(data, &kind); err != nil {
		t.Fatal(err)
	}
	var def *Definition
	var obj runtime.Object
	switch kind.Kind {
	case "Pod":
		def, obj = pod(), &corev1.Pod{}
	case "Deployment":
		def, obj = deployment(), &appsv1.Deployment{}
	case "ReplicaSet":
		def, obj = replicaSet(), &appsv1.ReplicaSet{}
	default:
		t.Fatalf("%s: unexpected kind %q", file, kind.Kind)
	}
	if err := yaml.UnmarshalStrict(data, obj); err != nil {
		t.Fatal(err)
	}
	return def, obj
}
