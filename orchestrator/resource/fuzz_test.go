package resource

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// exercise calls every hook as the API server does, on whatever was decoded.
func exercise(def *Definition, obj runtime.Object) {
	old := obj.DeepCopyObject()
	def.Default(obj)
	def.PrepareCreate(obj)
	def.Validate(obj)
	def.Warnings(obj, nil)
	def.Row(obj)
	again := obj.DeepCopyObject()
	for _, o := range []runtime.Object{old, obj} {
		def.PrepareUpdate(again, o)
		def.ValidateUpdate(again, o)
		def.ValidateStatus(again, o)
		def.SpecChanged(again, o)
		def.Warnings(again, o)
		def.PrepareStatus(again, o)
	}
	def.Row(old)
	def.Validate(old)
	if def.Fields != nil {
		def.Fields(old)
	}
	if def.Scale != nil {
		def.Scale(old)
	}
	if def.GracePeriod != nil {
		def.GracePeriod(old)
	}
}

func seed(f *testing.F) {
	f.Helper()
	files, err := filepath.Glob("testdata/defaults/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatalf("find seeds: %v, %d found", err, len(files))
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		doc, err := yaml.YAMLToJSON(data)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(doc)
	}
	f.Add([]byte(`{"spec":{"containers":[{"livenessProbe":{"grpc":{}},"lifecycle":{"preStop":{"sleep":{}}},"env":[{"valueFrom":{}}]}]}}`))
}

func FuzzPod(f *testing.F) {
	seed(f)
	f.Fuzz(func(_ *testing.T, data []byte) {
		p := &corev1.Pod{}
		if json.Unmarshal(data, p) == nil {
			exercise(pod(), p)
		}
	})
}

func FuzzDeployment(f *testing.F) {
	seed(f)
	f.Fuzz(func(_ *testing.T, data []byte) {
		d, rs := &appsv1.Deployment{}, &appsv1.ReplicaSet{}
		if json.Unmarshal(data, d) == nil {
			exercise(deployment(), d)
		}
		if json.Unmarshal(data, rs) == nil {
			exercise(replicaSet(), rs)
		}
	})
}
