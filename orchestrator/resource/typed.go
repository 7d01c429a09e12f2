package resource

import (
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// typed is a Definition whose hooks take the kind's own Go type, so that the
// files of the kinds are free of assertions. Each hook means what the field of
// the same name means in Definition; where that one gets a nil old object, the
// typed hook gets a nil pointer.
type typed[T runtime.Object] struct {
	GVK        schema.GroupVersionKind
	Plural     string
	Singular   string
	ShortNames []string
	Categories []string
	Namespaced bool
	Verbs      []string

	Default           func(obj T)
	PrepareCreate     func(obj T)
	Admit             func(obj T, look Lookup) error
	PrepareUpdate     func(obj, old T)
	PrepareStatus     func(obj, old T)
	PrepareEphemeral  func(obj, old T)
	ValidateEphemeral func(obj, old T) field.ErrorList
	SpecChanged       func(obj, old T) bool
	Validate          func(obj T) field.ErrorList
	ValidateUpdate    func(obj, old T) field.ErrorList
	ValidateStatus    func(obj, old T) field.ErrorList
	Warnings          func(obj, old T) []string
	WarningsAmong     func(obj T, look Lookup) []string
	Ineffective       func(obj, old T) []string
	Allocate          func(obj, old T, stored []T) field.ErrorList
	GracePeriod       func(obj T) int64
	Scale             func(obj T) *autoscalingv1.Scale
	SetReplicas       func(obj T, replicas int32)
	Fields            func(obj T) fields.Set
	Columns           []metav1.TableColumnDefinition
	Row               func(obj T) []any
}

// definition turns the typed hooks into a Definition's untyped ones.
func (t typed[T]) definition() *Definition {
	return &Definition{
		GVK:               t.GVK,
		Plural:            t.Plural,
		Singular:          t.Singular,
		ShortNames:        t.ShortNames,
		Categories:        t.Categories,
		Namespaced:        t.Namespaced,
		Verbs:             t.Verbs,
		Default:           change(t.Default),
		PrepareCreate:     change(t.PrepareCreate),
		Admit:             among(t.Admit),
		PrepareUpdate:     changeFrom(t.PrepareUpdate),
		PrepareStatus:     changeFrom(t.PrepareStatus),
		PrepareEphemeral:  changeFrom(t.PrepareEphemeral),
		ValidateEphemeral: compare(t.ValidateEphemeral),
		SpecChanged:       compare(t.SpecChanged),
		Validate:          read(t.Validate),
		ValidateUpdate:    compare(t.ValidateUpdate),
		ValidateStatus:    compare(t.ValidateStatus),
		Warnings:          compare(t.Warnings),
		WarningsAmong:     among(t.WarningsAmong),
		Ineffective:       compare(t.Ineffective),
		Allocate:          allocate(t.Allocate),
		GracePeriod:       read(t.GracePeriod),
		Scale:             read(t.Scale),
		SetReplicas:       setReplicas(t.SetReplicas),
		Fields:            read(t.Fields),
		Columns:           t.Columns,
		Row:               read(t.Row),
	}
}

func change[T runtime.Object](hook func(obj T)) func(runtime.Object) {
	if hook == nil {
		return nil
	}
	return func(obj runtime.Object) { hook(obj.(T)) }
}

func among[T runtime.Object, R any](hook func(obj T, look Lookup) R) func(runtime.Object, Lookup) R {
	if hook == nil {
		return nil
	}
	return func(obj runtime.Object, look Lookup) R { return hook(obj.(T), look) }
}

func changeFrom[T runtime.Object](hook func(obj, old T)) func(obj, old runtime.Object) {
	if hook == nil {
		return nil
	}
	return func(obj, old runtime.Object) { hook(obj.(T), orNil[T](old)) }
}

func read[T runtime.Object, R any](hook func(obj T) R) func(runtime.Object) R {
	if hook == nil {
		return nil
	}
	return func(obj runtime.Object) R { return hook(obj.(T)) }
}

func compare[T runtime.Object, R any](hook func(obj, old T) R) func(obj, old runtime.Object) R {
	if hook == nil {
		return nil
	}
	return func(obj, old runtime.Object) R { return hook(obj.(T), orNil[T](old)) }
}

func allocate[T runtime.Object](hook func(obj, old T, stored []T) field.ErrorList) func(obj, old runtime.Object, stored []runtime.Object) field.ErrorList {
	if hook == nil {
		return nil
	}
	return func(obj, old runtime.Object, stored []runtime.Object) field.ErrorList {
		all := make([]T, 0, len(stored))
		for _, s := range stored {
			all = append(all, s.(T))
		}
		return hook(obj.(T), orNil[T](old), all)
	}
}

func setReplicas[T runtime.Object](hook func(obj T, replicas int32)) func(runtime.Object, int32) {
	if hook == nil {
		return nil
	}
	return func(obj runtime.Object, replicas int32) { hook(obj.(T), replicas) }
}

// orNil is obj as a T, or the nil T for an object that does not exist.
func orNil[T runtime.Object](obj runtime.Object) T {
	t, _ := obj.(T)
	return t
}
