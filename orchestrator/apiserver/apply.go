package apiserver

import (
	"errors"
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// apply merges what a client wants to have said of an object with what others
// have said (server-side apply), and makes the object where there is none:
// https://kubernetes.io/docs/reference/using-api/server-side-apply/.
func (s *Server) apply(r *request, mode changeMode, p *patch) error {
	wanted, err := p.configuration(r, r.kind.GVK)
	if err != nil {
		return err
	}
	r.recorded = true
	applied := func(to object) (object, error) { return r.applied(wanted, to, p.options.force) }
	for {
		changed, err := s.change(r, mode, p.options.dryRun, applied)
		if err == nil {
			return s.answer(r, http.StatusOK, changed)
		}
		if r.subresource != "" || !s.missing(r) {
			return err
		}
		obj, err := applied(r.kind.New())
		if err != nil {
			return err
		}
		if wanted.GetUID() != "" || wanted.GetResourceVersion() != "" {
			return apierrors.NewConflict(r.kind.resource(), r.name, errors.New("uid and resourceVersion are of an object that does not exist"))
		}
		created, err := s.insert(r, obj, p.options.dryRun)
		if apierrors.IsAlreadyExists(err) { // made meanwhile
			continue
		}
		if err != nil {
			return err
		}
		return s.answer(r, http.StatusCreated, created)
	}
}

// missing says whether there is no such object.
func (s *Server) missing(r *request) bool {
	_, err := s.read(r.kind, r.namespace, r.name)
	return apierrors.IsNotFound(err)
}

// configuration reads what is applied: YAML, of which JSON is a part.
func (p *patch) configuration(r *request, of schema.GroupVersionKind) (*unstructured.Unstructured, error) {
	wanted := &unstructured.Unstructured{}
	text, err := yaml.YAMLToJSON(p.body)
	if err == nil {
		err = kjson.UnmarshalCaseSensitivePreserveInts(text, &wanted.Object)
	}
	if err == nil && wanted.Object == nil {
		err = errors.New("it is empty")
	}
	if err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("error decoding YAML: %v", err))
	}
	if _, err := yaml.YAMLToJSONStrict(p.body); err != nil {
		if err := r.judgeFields(runtime.NewStrictDecodingError([]error{err}), p.options.fieldValidation); err != nil {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("error decoding YAML: %v", err))
		}
	}
	if gvk := wanted.GroupVersionKind(); gvk != of {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("what is applied to %s has apiVersion %q and kind %q, expected %q and %q",
			r.kind.Plural, wanted.GetAPIVersion(), wanted.GetKind(), of.GroupVersion(), of.Kind))
	}
	return wanted, r.place(wanted)
}

// applied merges. Fields that another has set to something else are a conflict,
// unless they are taken by force.
func (r *request) applied(wanted *unstructured.Unstructured, to object, force bool) (object, error) {
	manager, err := r.kind.managers.of(r.kind, r.subresource)
	if err != nil {
		return nil, err
	}
	merged, err := r.merge(manager, wanted, withKind(deepCopy(to), r.kind.GVK), force)
	if err != nil {
		return nil, err
	}
	obj, known := merged.(object)
	if !known {
		return nil, fmt.Errorf("apply %s %s: merged into %T", r.kind.Plural, r.name, merged)
	}
	return obj, r.place(obj)
}

func (r *request) merge(by *managedfields.FieldManager, wanted *unstructured.Unstructured, to runtime.Object, force bool) (runtime.Object, error) {
	merged, err := by.Apply(to, wanted.DeepCopy(), r.manager(), force)
	if status := apierrors.APIStatus(nil); err != nil && !errors.As(err, &status) {
		return nil, apierrors.NewBadRequest(err.Error()) // a field that there is not, or of another type
	}
	return merged, err
}
