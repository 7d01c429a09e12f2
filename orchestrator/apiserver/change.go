package apiserver

import (
	"bytes"
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// changeMode says which part of an object a write may touch.
type changeMode int

const (
	specChange      changeMode = iota // all but the status
	statusChange                      // the status subresource
	ephemeralChange                   // the one that adds ephemeral containers
	ownChange                         // made by the handler itself: nothing to check
)

// change replaces the request's object by what next makes of it. next must not
// alter what it is given. If what it returns names a resource version, the
// object must be at that version.
func (s *Server) change(r *request, mode changeMode, dryRun bool, next func(old object) (object, error)) (object, error) {
	defer s.locks.lock(r.kind.key(r.namespace, r.name))()
	old, err := s.read(r.kind, r.namespace, r.name)
	if err != nil {
		return nil, err
	}
	obj, err := next(old.object)
	if err != nil {
		return nil, err
	}
	if err := r.kind.inherit(obj, old.object); err != nil {
		return nil, err
	}
	changed, err := s.replace(r, mode, dryRun, obj, old)
	return changed, storeError(r.kind, r.name, err)
}

// inherit checks that obj is meant to replace old, and puts back what no
// client may change.
func (k *kind) inherit(obj, old object) error {
	if given := obj.GetUID(); given != "" && given != old.GetUID() {
		return apierrors.NewConflict(k.resource(), old.GetName(),
			//lint:ignore ST1005 upstream's words, which stand behind a colon
			fmt.Errorf("Precondition failed: UID in precondition: %v, UID in object meta: %v", given, old.GetUID()))
	}
	if given := obj.GetResourceVersion(); given != "" && given != old.GetResourceVersion() {
		return apierrors.NewConflict(k.resource(), old.GetName(), errModified)
	}
	obj.SetResourceVersion(old.GetResourceVersion())
	obj.SetUID(old.GetUID())
	obj.SetCreationTimestamp(old.GetCreationTimestamp())
	obj.SetDeletionTimestamp(old.GetDeletionTimestamp())
	obj.SetDeletionGracePeriodSeconds(old.GetDeletionGracePeriodSeconds())
	obj.SetGeneration(old.GetGeneration())
	obj.SetSelfLink("")
	return nil
}

// replace prepares, checks and writes obj in place of old.
func (s *Server) replace(r *request, mode changeMode, dryRun bool, obj object, old current) (object, error) {
	k := r.kind
	k.prepareChange(mode, obj, old.object)
	if err := r.record(mode, obj, old.object); err != nil {
		return nil, err
	}
	if err := invalid(k, r.name, k.checkChange(mode, obj, old.object)); err != nil {
		return nil, err
	}
	if mode == specChange && k.Warnings != nil {
		r.warn(k.Warnings(obj, old.object)...)
	}
	if mode == specChange && k.WarningsAmong != nil {
		r.warn(k.WarningsAmong(obj, s.lookup)...)
	}
	if mode == specChange && k.Allocate != nil {
		k.allocation.Lock()
		defer k.allocation.Unlock()
		if err := s.allocate(k, obj, old.object); err != nil {
			return nil, err
		}
	}
	if deletionComplete(obj) {
		return s.erase(r.Context(), k, obj, old, dryRun)
	}
	changed, err := s.overwrite(r.Context(), k, obj, old, dryRun)
	if err == nil && mode == specChange && !dryRun {
		s.tellIneffective(k, changed, old.object)
	}
	return changed, err
}

// tellIneffective has it said which fields of an object that was stored have no
// effect. Here, and not where objects are looked at again and again, it is known
// what was written just now. old is nil for a new object.
func (s *Server) tellIneffective(k *kind, obj object, old runtime.Object) {
	if k.Ineffective == nil || s.told == nil {
		return
	}
	if fields := k.Ineffective(obj, old); len(fields) > 0 {
		s.told(obj, fields)
	}
}

func (k *kind) prepareChange(mode changeMode, obj, old object) {
	if mode == ownChange {
		return
	}
	if k.Default != nil {
		k.Default(obj)
	}
	if mode == statusChange {
		k.PrepareStatus(obj, old)
		return
	}
	if mode == ephemeralChange {
		k.PrepareEphemeral(obj, old)
	} else if k.PrepareUpdate != nil {
		k.PrepareUpdate(obj, old)
	}
	if k.SpecChanged != nil && k.SpecChanged(obj, old) {
		obj.SetGeneration(old.GetGeneration() + 1)
	}
}

func (k *kind) checkChange(mode changeMode, obj, old object) field.ErrorList {
	var errs field.ErrorList
	switch mode {
	case specChange:
		if k.Validate != nil {
			errs = k.Validate(obj)
		}
		if k.ValidateUpdate != nil {
			errs = append(errs, k.ValidateUpdate(obj, old)...)
		}
	case statusChange:
		if k.ValidateStatus != nil {
			errs = k.ValidateStatus(obj, old)
		}
	case ephemeralChange:
		errs = k.ValidateEphemeral(obj, old)
	}
	return errs
}

// overwrite stores obj unless it says what is stored already, so that whoever
// repeats a write wakes nobody.
func (s *Server) overwrite(ctx context.Context, k *kind, obj object, old current, dryRun bool) (object, error) {
	version := obj.GetResourceVersion()
	raw, err := encodeStored(k, obj)
	if err != nil {
		return nil, err
	}
	if bytes.Equal(raw, old.raw) {
		return old.object, nil
	}
	if dryRun {
		obj.SetResourceVersion(version)
		return obj, nil
	}
	revision, err := s.store.Update(ctx, k.key(obj.GetNamespace(), obj.GetName()), raw, old.modified)
	if err != nil {
		return nil, err
	}
	return s.decode(k, revision, raw)
}

// erase removes old for good and returns obj as its last state.
func (s *Server) erase(ctx context.Context, k *kind, obj object, old current, dryRun bool) (object, error) {
	if dryRun {
		return obj, nil
	}
	revision, err := s.store.Delete(ctx, k.key(obj.GetNamespace(), obj.GetName()), old.modified)
	if err != nil {
		return nil, err
	}
	last := shallow(obj)
	last.SetResourceVersion(formatRevision(revision))
	return last, nil
}
