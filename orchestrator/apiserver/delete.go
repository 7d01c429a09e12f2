package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// deleteAtOnce is how many objects of a collection are deleted side by side;
// they share the store's commits.
const deleteAtOnce = 32

func (s *Server) delete(r *request) error {
	options, err := r.deleteOptions()
	if err != nil {
		return err
	}
	last, gone, err := s.remove(r.Context(), r.kind, r.namespace, r.name, options)
	if err != nil {
		return err
	}
	if !gone {
		code := http.StatusOK
		if orphan := orphanDependents(options); orphan != nil && !*orphan {
			code = http.StatusAccepted
		}
		return s.answer(r, code, last)
	}
	if r.kind.GracePeriod != nil {
		return s.answer(r, http.StatusOK, last)
	}
	r.out.as = ""
	return s.encodeAnswer(r, http.StatusOK, deletedStatus(r.kind, last))
}

func deletedStatus(k *kind, last object) *metav1.Status {
	return &metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusSuccess,
		Details: &metav1.StatusDetails{
			Name:  last.GetName(),
			Group: k.GVK.Group,
			Kind:  k.Plural,
			UID:   last.GetUID(),
		},
	}
}

// remove deletes one object, or marks it where a grace period or a finalizer
// holds it. gone says which.
func (s *Server) remove(ctx context.Context, k *kind, namespace, name string, options *metav1.DeleteOptions) (last object, gone bool, err error) {
	if isNamespace(k) {
		s.namespaces.Lock()
		defer s.namespaces.Unlock()
	}
	defer s.locks.lock(k.key(namespace, name))()
	old, err := s.read(k, namespace, name)
	if err != nil {
		return nil, false, err
	}
	if err := errors.Join(checkPreconditions(k, old.object, options.Preconditions), checkNamespaceDeletion(old.object)); err != nil {
		return nil, false, err
	}
	var grace int64
	if k.GracePeriod != nil {
		grace = k.GracePeriod(old.object)
	}
	obj := deepCopy(old.object)
	markDeleted(obj, grace, ownPolicy(k, options), time.Now())
	dryRun := len(options.DryRun) > 0
	if gone = deletionComplete(obj); gone {
		last, err = s.erase(ctx, k, old.object, old, dryRun)
	} else {
		last, err = s.overwrite(ctx, k, obj, old, dryRun)
	}
	return last, gone, storeError(k, name, err)
}

// ownPolicy leaves the propagation policy out for Events: they own nothing, and
// the garbage collector, which passes them over, would never take its finalizer
// off one again.
func ownPolicy(k *kind, options *metav1.DeleteOptions) *metav1.DeleteOptions {
	if k.Storage() != "events" {
		return options
	}
	return &metav1.DeleteOptions{GracePeriodSeconds: options.GracePeriodSeconds}
}

func checkPreconditions(k *kind, obj object, preconditions *metav1.Preconditions) error {
	if preconditions == nil {
		return nil
	}
	if uid := preconditions.UID; uid != nil && *uid != obj.GetUID() {
		return apierrors.NewConflict(k.resource(), obj.GetName(),
			fmt.Errorf("the UID in the precondition (%s) does not match the UID in record (%s). The object might have been deleted and then recreated", *uid, obj.GetUID()))
	}
	if version := preconditions.ResourceVersion; version != nil && *version != obj.GetResourceVersion() {
		return apierrors.NewConflict(k.resource(), obj.GetName(),
			fmt.Errorf("the ResourceVersion in the precondition (%s) does not match the ResourceVersion in record (%s). The object might have been modified", *version, obj.GetResourceVersion()))
	}
	return nil
}

// deleteCollection deletes what a list with the same selectors shows.
func (s *Server) deleteCollection(r *request) error {
	options, err := r.deleteOptions()
	if err != nil {
		return err
	}
	wanted, err := r.listOptions()
	if err != nil {
		return err
	}
	found, err := s.find(r.kind, r.namespace, wanted)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(r.Context())
	group.SetLimit(deleteAtOnce)
	for _, obj := range found.objects {
		group.Go(func() error {
			_, _, err := s.remove(ctx, r.kind, obj.GetNamespace(), obj.GetName(), options)
			if apierrors.IsNotFound(err) {
				return nil // somebody else was faster
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return s.answerList(r, found)
}
