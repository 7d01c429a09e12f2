package gc

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// owners are the owner references of an object by what became of the owners.
type owners struct {
	solid   []metav1.OwnerReference // the owner is there
	gone    []metav1.OwnerReference
	waiting []metav1.OwnerReference // the owner goes, once its dependents have
}

type action int

const (
	keep action = iota
	release
	removeAfterDependents
	removeNow
)

// decide says what happens to an object that nobody asked to delete. One owner
// that stays is enough to stay.
func decide(o owners, hasDependents bool) action {
	switch {
	case len(o.gone) == 0 && len(o.waiting) == 0:
		return keep
	case len(o.solid) > 0:
		return release
	case len(o.waiting) > 0 && hasDependents:
		return removeAfterDependents
	}
	return removeNow
}

// policyOf continues what the object's finalizers say about its dependents.
func policyOf(m metav1.Object) metav1.DeletionPropagation {
	switch {
	case hasFinalizer(m, metav1.FinalizerOrphanDependents):
		return metav1.DeletePropagationOrphan
	case hasFinalizer(m, metav1.FinalizerDeleteDependents):
		return metav1.DeletePropagationForeground
	}
	return metav1.DeletePropagationBackground
}

func waitsForDependents(m metav1.Object) bool {
	return m.GetDeletionTimestamp() != nil && hasFinalizer(m, metav1.FinalizerDeleteDependents)
}

func hasFinalizer(m metav1.Object, finalizer string) bool {
	return slices.Contains(m.GetFinalizers(), finalizer)
}

// blocks says whether the owner may not go before m.
func blocks(m metav1.Object, owner types.UID) bool {
	return slices.ContainsFunc(m.GetOwnerReferences(), func(ref metav1.OwnerReference) bool {
		return ref.UID == owner && ptr.Deref(ref.BlockOwnerDeletion, false)
	})
}

func without(refs []metav1.OwnerReference, owner types.UID) []metav1.OwnerReference {
	return slices.DeleteFunc(slices.Clone(refs), func(ref metav1.OwnerReference) bool { return ref.UID == owner })
}
