package apiserver

import (
	"fmt"
	"reflect"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"

	"skiff/orchestrator/resource"
)

var allVerbs = []string{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}

// object is what every served kind's Go type is.
type object interface {
	runtime.Object
	metav1.Object
}

// kind is a definition with what the handler adds to it.
type kind struct {
	*resource.Definition
	subresources map[string]*subresource
	allocation   sync.Mutex // held from the choice of addresses and ports until they are stored
	managers     fieldManagers
}

func newKind(d *resource.Definition) *kind {
	k := &kind{Definition: d}
	k.subresources = subresourcesOf(k)
	return k
}

func (k *kind) resource() schema.GroupResource { return k.GVR().GroupResource() }

func (k *kind) verbs() []string {
	if k.Verbs == nil {
		return allVerbs
	}
	return k.Verbs
}

func (k *kind) allows(verb string) bool { return slices.Contains(k.verbs(), verb) }

func (k *kind) listGVK() schema.GroupVersionKind {
	return k.GVK.GroupVersion().WithKind(k.GVK.Kind + "List")
}

// New makes an empty object. That a definition's kind is in the scheme is a
// matter of the program, not of its input.
func (k *kind) New() object {
	obj, err := scheme.Scheme.New(k.GVK)
	if err != nil {
		panic(fmt.Errorf("definition of %s: %w", k.GVK, err))
	}
	return obj.(object)
}

// toStored and fromStored convert between the version served and the one kept.
func (k *kind) toStored(obj object) (object, error) {
	if k.ToStored == nil {
		return obj, nil
	}
	converted, err := k.ToStored(obj)
	if err != nil {
		return nil, fmt.Errorf("convert %s for storage: %w", k.GVK, err)
	}
	return converted.(object), nil
}

func (k *kind) fromStored(obj object) (object, error) {
	if k.FromStored == nil {
		return obj, nil
	}
	converted, err := k.FromStored(obj)
	if err != nil {
		return nil, fmt.Errorf("convert %s from storage: %w", k.GVK, err)
	}
	return converted.(object), nil
}

func (k *kind) storedGVK() schema.GroupVersionKind {
	if k.StoredAs != nil {
		return k.StoredAs.GVK
	}
	return k.GVK
}

// shallow copies the top of a shared object, so that its kind or its resource
// version can be set for one answer.
func shallow[T runtime.Object](obj T) T {
	from := reflect.ValueOf(obj).Elem()
	to := reflect.New(from.Type())
	to.Elem().Set(from)
	return to.Interface().(T)
}

func deepCopy(obj object) object { return obj.DeepCopyObject().(object) }
