package rollout

import (
	"cmp"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
)

// Split finds, among the ReplicaSets of d, the one with d's current template
// (nil where there is none yet) and all others, oldest first. Should several
// have that template, the oldest is taken, so that every look gives the same.
func Split(d *appsv1.Deployment, sets []*appsv1.ReplicaSet) (current *appsv1.ReplicaSet, old []*appsv1.ReplicaSet) {
	sorted := slices.SortedFunc(slices.Values(sets), olderFirst)
	for _, rs := range sorted {
		if current == nil && SameTemplate(&rs.Spec.Template, &d.Spec.Template) {
			current = rs
			continue
		}
		old = append(old, rs)
	}
	return current, old
}

// All is old and, where there is one, current, in a slice of its own.
func All(current *appsv1.ReplicaSet, old []*appsv1.ReplicaSet) []*appsv1.ReplicaSet {
	sets := slices.Clone(old)
	if current != nil {
		sets = append(sets, current)
	}
	return sets
}

// Settled says whether no set can have more Pods than it is asked to have: each
// has answered its last change of size, and counts no more than that.
//
// Kubernetes adds up the sizes that were asked for. Between asking an old set
// to shrink and its doing so there are then more Pods than replicas + maxSurge,
// since the new set has grown already. So nothing grows while this is false;
// the answer comes with the old set's next status, a few milliseconds later.
func Settled(sets []*appsv1.ReplicaSet) bool {
	for _, rs := range sets {
		if rs.Status.ObservedGeneration < rs.Generation || rs.Status.Replicas > Size(rs) {
			return false
		}
	}
	return true
}

// active are the sets that are asked to have any Pod.
func active(sets []*appsv1.ReplicaSet) []*appsv1.ReplicaSet {
	var out []*appsv1.ReplicaSet
	for _, rs := range sets {
		if Size(rs) > 0 {
			out = append(out, rs)
		}
	}
	return out
}

func totalSize(sets []*appsv1.ReplicaSet) (n int32) {
	for _, rs := range sets {
		n += Size(rs)
	}
	return n
}

// assured is how many of rs's available Pods are left once it has come down to
// its size: a set that was just asked to shrink still counts the Pods that it
// is about to delete. It deletes unavailable Pods first (see Doomed).
func assured(rs *appsv1.ReplicaSet) int32 {
	return min(Size(rs), rs.Status.AvailableReplicas)
}

func olderFirst(a, b *appsv1.ReplicaSet) int {
	return cmp.Or(
		a.CreationTimestamp.Time.Compare(b.CreationTimestamp.Time),
		cmp.Compare(a.Name, b.Name),
	)
}
