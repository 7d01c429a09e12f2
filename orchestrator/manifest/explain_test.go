package manifest

import (
	"errors"
	"fmt"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	docs, err := Parse("web.yaml", []byte(deployment))
	if err != nil {
		t.Fatal(err)
	}
	spec := field.NewPath("spec")
	deployments := schema.GroupResource{Group: "apps", Resource: "deployments"}
	invalid := apierrors.NewInvalid(schema.GroupKind{Group: "apps", Kind: "Deployment"}, "web", field.ErrorList{
		field.Invalid(spec.Child("replicas"), -1, "must be greater than or equal to 0"),
		field.Required(spec.Child("template", "spec", "containers").Index(0).Child("image"), ""),
		field.Invalid(spec.Child("replicas"), -1, "must be greater than or equal to 0"),
	})
	plain := errors.New("no route")
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"invalid", fmt.Errorf("create: %w", invalid), "web.yaml:6: spec.replicas: Invalid value: -1: must be greater than or equal to 0\n" +
			"web.yaml:17: spec.template.spec.containers[0].image: Required value"},
		{"exists", apierrors.NewAlreadyExists(deployments, "web"),
			`web.yaml:4: metadata.name: Error from server (AlreadyExists): deployments.apps "web" already exists`},
		{"not found", apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "x"),
			`web.yaml:1: Error from server (NotFound): namespaces "x" not found`},
		{"not a server's", plain, "no route"},
	}
	for _, test := range tests {
		if got := docs[0].Explain(test.err).Error(); got != test.want {
			t.Errorf("%s:\n%s\nwant\n%s", test.name, got, test.want)
		}
	}
}

func TestCite(t *testing.T) {
	t.Parallel()
	docs, err := Parse("web.yaml", []byte(deployment))
	if err != nil {
		t.Fatal(err)
	}
	for warning, want := range map[string]string{
		"spec.template.spec.containers[0].image: no tag": "spec.template.spec.containers[0].image: no tag (web.yaml:17)",
		"apps/v1beta1 is deprecated":                     "apps/v1beta1 is deprecated",
		"spec.template.spec has no effect":               "spec.template.spec has no effect (web.yaml:14)",
		"nothing: known":                                 "nothing: known",
	} {
		if got := docs[0].Cite(warning); got != want {
			t.Errorf("Cite(%q) = %q, want %q", warning, got, want)
		}
	}
}
