package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilrand "k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"skiff/orchestrator/store"
)

const (
	generatedSuffix = 5
	maxGenerateBase = 63 - generatedSuffix
	// Upstream tries as often before it gives a generated name up.
	maxGenerateTries = 8
)

func (s *Server) create(r *request) error {
	if r.kind.Review {
		return s.review(r)
	}
	options, err := r.createOptions()
	if err != nil {
		return err
	}
	obj := r.kind.New()
	if err := r.decodeBody(r.kind.GVK, obj, options.fieldValidation); err != nil {
		return err
	}
	if err := r.place(obj); err != nil {
		return err
	}
	if obj.GetResourceVersion() != "" {
		return apierrors.NewBadRequest("resourceVersion should not be set on objects to be created")
	}
	obj.SetManagedFields(nil)
	created, err := s.insert(r, obj, options.dryRun)
	if err != nil {
		return err
	}
	return s.answer(r, http.StatusCreated, created)
}

// place makes the object's namespace and name agree with the path's.
func (r *request) place(obj object) error {
	if r.kind.Namespaced {
		if given := obj.GetNamespace(); given != "" && given != r.namespace {
			return apierrors.NewBadRequest("the namespace of the provided object does not match the namespace sent on the request")
		}
	}
	obj.SetNamespace(r.namespace)
	if r.name == "" {
		return nil
	}
	if given := obj.GetName(); given != "" && given != r.name {
		return apierrors.NewBadRequest(fmt.Sprintf("the name of the object (%s) does not match the name on the URL (%s)", given, r.name))
	}
	obj.SetName(r.name)
	return nil
}

// insert makes obj an object of the API: with a name, defaults and an identity.
func (s *Server) insert(r *request, obj object, dryRun bool) (object, error) {
	k := r.kind
	if k.Namespaced {
		s.namespaces.RLock()
		defer s.namespaces.RUnlock()
		if err := s.checkNamespace(k, r.namespace, obj.GetName()); err != nil {
			return nil, err
		}
	}
	generated := obj.GetName() == "" && obj.GetGenerateName() != ""
	for try := 1; ; try++ {
		candidate := obj
		if generated {
			candidate = deepCopy(obj)
			candidate.SetName(generateName(obj.GetGenerateName()))
		}
		k.prepareCreate(candidate, time.Now())
		if k.Admit != nil {
			if err := k.Admit(candidate, s.lookup); err != nil {
				return nil, err
			}
		}
		created, err := s.insertPrepared(r, candidate, dryRun)
		if generated && errors.Is(err, store.ErrExists) {
			if try < maxGenerateTries {
				continue
			}
			return nil, apierrors.NewGenerateNameConflict(k.resource(), candidate.GetName(), 1)
		}
		if err != nil {
			return nil, storeError(k, candidate.GetName(), err)
		}
		if !dryRun {
			s.tellIneffective(k, created, nil)
		}
		return created, nil
	}
}

func generateName(base string) string {
	if len(base) > maxGenerateBase {
		base = base[:maxGenerateBase]
	}
	return base + utilrand.String(generatedSuffix)
}

func (k *kind) prepareCreate(obj object, now time.Time) {
	obj.SetUID(uuid.NewUUID())
	obj.SetCreationTimestamp(metav1.NewTime(now))
	obj.SetDeletionTimestamp(nil)
	obj.SetDeletionGracePeriodSeconds(nil)
	obj.SetSelfLink("")
	obj.SetGeneration(0)
	if k.SpecChanged != nil {
		obj.SetGeneration(1)
	}
	if k.Default != nil {
		k.Default(obj)
	}
	if k.PrepareCreate != nil {
		k.PrepareCreate(obj)
	}
	keepNamespaceFinalizer(obj)
}

// insertPrepared checks and writes a new object. A name that is taken comes
// back as the store's error.
func (s *Server) insertPrepared(r *request, obj object, dryRun bool) (object, error) {
	k := r.kind
	if err := r.recordNew(obj); err != nil {
		return nil, err
	}
	errs := checkName(obj)
	if k.Validate != nil {
		errs = append(errs, k.Validate(obj)...)
	}
	if err := invalid(k, obj.GetName(), errs); err != nil {
		return nil, err
	}
	if k.Warnings != nil {
		r.warn(k.Warnings(obj, nil)...)
	}
	if k.WarningsAmong != nil {
		r.warn(k.WarningsAmong(obj, s.lookup)...)
	}
	if k.Allocate != nil {
		k.allocation.Lock()
		defer k.allocation.Unlock()
		if err := s.allocate(k, obj, nil); err != nil {
			return nil, err
		}
	}
	return s.save(r.Context(), k, obj, dryRun)
}

// checkName refuses what could not be asked for by a path. What kinds demand
// of their names beyond that is theirs.
func checkName(obj object) field.ErrorList {
	name := field.NewPath("metadata", "name")
	if obj.GetName() == "" {
		return field.ErrorList{field.Required(name, "name or generateName is required")}
	}
	var errs field.ErrorList
	for _, problem := range content.IsPathSegmentName(obj.GetName()) {
		errs = append(errs, field.Invalid(name, obj.GetName(), problem))
	}
	return errs
}

// allocate assigns what must be unique among the objects of a kind. The caller
// holds the kind's allocation lock until obj is written.
func (s *Server) allocate(k *kind, obj, old object) error {
	page, err := s.store.List(store.Query{Storage: k.Storage()})
	if err != nil {
		return err
	}
	stored := make([]runtime.Object, 0, len(page.Entries))
	for _, entry := range page.Entries {
		other, err := s.decode(k, entry.Modified, entry.Value)
		if err != nil {
			return err
		}
		stored = append(stored, other)
	}
	var previous runtime.Object
	if old != nil {
		previous = old
	}
	return invalid(k, obj.GetName(), k.Allocate(obj, previous, stored))
}

// save writes a new object and returns it as it reads from then on.
func (s *Server) save(ctx context.Context, k *kind, obj object, dryRun bool) (object, error) {
	key := k.key(obj.GetNamespace(), obj.GetName())
	if dryRun {
		if _, err := s.store.Get(key); err == nil {
			return nil, store.ErrExists
		} else if !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		return obj, nil
	}
	raw, err := encodeStored(k, obj)
	if err != nil {
		return nil, err
	}
	revision, err := s.store.Create(ctx, key, raw)
	if err != nil {
		return nil, err
	}
	return s.decode(k, revision, raw)
}
