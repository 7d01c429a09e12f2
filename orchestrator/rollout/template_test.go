package rollout

import (
	"os"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/yaml"
)

// TestTemplateHashOfKubernetes starts from what a Deployment becomes with all its defaults,
// which count.
func TestTemplateHashOfKubernetes(t *testing.T) {
	t.Parallel()
	manifest, err := os.ReadFile("../resource/testdata/defaults/seed.out.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var d appsv1.Deployment
	if err := yaml.UnmarshalStrict(manifest, &d); err != nil {
		t.Fatal(err)
	}
	for image, want := range map[string]string{"mongo:3.3": "6f89cd886", "mongo:3.5": "59c88b6456"} {
		d.Spec.Template.Spec.Containers[0].Image = image
		if got := TemplateHash(&d.Spec.Template, d.Status.CollisionCount); got != want {
			t.Errorf("hash of the template with %s = %s, want %s, as a Kubernetes 1.37 has it", image, got, want)
		}
	}
}
