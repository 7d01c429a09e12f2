package resource

import (
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// review is a kind whose objects are questions of a client about itself.
func review(gvk schema.GroupVersionKind) *Definition {
	singular := strings.ToLower(gvk.Kind)
	return &Definition{GVK: gvk, Plural: singular + "s", Singular: singular, Verbs: []string{"create"}, Review: true}
}
