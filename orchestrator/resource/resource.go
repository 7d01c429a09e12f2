// Package resource holds the table of what the API serves: one file per kind
// with its defaults, validation, update rules and printed columns. All of it is
// pure: values in, values out. The handler that serves the table is
// orchestrator/apiserver; a new kind is one new file here and its line in All.
package resource

import (
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Definition is one served resource. Function fields may be nil: then there is
// nothing to do at that point. Every function gets objects of the Definition's
// own Go type and may change only its first argument.
type Definition struct {
	GVK        schema.GroupVersionKind
	Plural     string
	Singular   string
	ShortNames []string
	Categories []string
	Namespaced bool
	Verbs      []string // nil: all of create delete deletecollection get list patch update watch

	// Review: what is created is a question, which is answered and not kept.
	Review bool

	// StoredAs is the definition whose objects this one shows in another
	// version; nil where it keeps its own. ToStored and FromStored convert.
	StoredAs   *Definition
	ToStored   func(obj runtime.Object) (runtime.Object, error)
	FromStored func(obj runtime.Object) (runtime.Object, error)

	// Default fills the fields that a client left unset, as Kubernetes does.
	Default func(obj runtime.Object)
	// PrepareCreate removes what a client may not set on a new object (its
	// status) and sets what the server owns.
	PrepareCreate func(obj runtime.Object)
	// Admit completes a new object from others, or refuses it with an API error.
	Admit func(obj runtime.Object, look Lookup) error
	// PrepareUpdate puts back what a client may not change by an update of the
	// main resource (the status).
	PrepareUpdate func(obj, old runtime.Object)
	// PrepareStatus puts back all that an update of the status subresource may
	// not change. Where it is nil there is no status subresource.
	PrepareStatus func(obj, old runtime.Object)
	// PrepareEphemeral and ValidateEphemeral do the same for the subresource
	// that adds ephemeral containers. Only Pods have it.
	PrepareEphemeral  func(obj, old runtime.Object)
	ValidateEphemeral func(obj, old runtime.Object) field.ErrorList
	// SpecChanged says whether obj asks for something else than old, which is
	// what metadata.generation counts. Nil: the kind has no generation.
	SpecChanged func(obj, old runtime.Object) bool

	// Validate checks a whole object. ValidateUpdate checks only what may not
	// change from old to obj; the handler calls Validate as well.
	// ValidateStatus takes the place of both for the status subresource.
	Validate       func(obj runtime.Object) field.ErrorList
	ValidateUpdate func(obj, old runtime.Object) field.ErrorList
	ValidateStatus func(obj, old runtime.Object) field.ErrorList
	// Warnings lists what is accepted but has no effect on one machine, or is
	// likely to be a mistake. old is nil for a new object.
	Warnings func(obj, old runtime.Object) []string
	// WarningsAmong lists what is a mistake because of what other objects say.
	WarningsAmong func(obj runtime.Object, look Lookup) []string
	// Ineffective names the fields among them that have no effect, where obj was
	// written for their sake or for the first time: events tell of them.
	Ineffective func(obj, old runtime.Object) []string

	// Allocate assigns what must be unique among all stored objects of the
	// kind (cluster addresses, node ports). The handler holds a lock from
	// reading stored until obj is written. old is nil for a new object.
	Allocate func(obj, old runtime.Object, stored []runtime.Object) field.ErrorList

	// GracePeriod is how many seconds a delete without one of its own gives
	// obj. Nil: objects vanish at once (unless finalizers hold them).
	GracePeriod func(obj runtime.Object) int64

	// Scale reads, and SetReplicas writes, the scale subresource; nil: none.
	Scale       func(obj runtime.Object) *autoscalingv1.Scale
	SetReplicas func(obj runtime.Object, replicas int32)

	// Fields gives what field selectors can match besides metadata.name and
	// metadata.namespace.
	Fields func(obj runtime.Object) fields.Set

	// Columns and Row are the Table form that kubectl get prints; Row's cells
	// stand in the order of Columns. The first column is the name. Ages are
	// given in kubectl's short form.
	Columns []metav1.TableColumnDefinition
	Row     func(obj runtime.Object) []any
}

// Lookup finds a stored object, which must not be changed. Its errors are the
// API's own.
type Lookup func(of schema.GroupVersionResource, namespace, name string) (runtime.Object, error)

// GVR is the definition's group, version and resource.
func (d *Definition) GVR() schema.GroupVersionResource {
	return d.GVK.GroupVersion().WithResource(d.Plural)
}

// Storage names the place in the store where the definition's objects are kept.
func (d *Definition) Storage() string {
	if d.StoredAs != nil {
		return d.StoredAs.Storage()
	}
	return schema.GroupResource{Group: d.GVK.Group, Resource: d.Plural}.String()
}
