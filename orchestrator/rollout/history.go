package rollout

import (
	"cmp"
	"math"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
)

// Outlived are the old ReplicaSets beyond d's revisionHistoryLimit, oldest
// revisions first. One that has Pods still, or has not yet said that it has
// none, stays: its Pods' owner is not taken away from under them.
func Outlived(d *appsv1.Deployment, old []*appsv1.ReplicaSet) []*appsv1.ReplicaSet {
	limit := d.Spec.RevisionHistoryLimit
	if limit == nil || *limit == math.MaxInt32 {
		return nil
	}
	kept := slices.DeleteFunc(slices.Clone(old), func(rs *appsv1.ReplicaSet) bool {
		return rs.DeletionTimestamp != nil
	})
	slices.SortFunc(kept, func(a, b *appsv1.ReplicaSet) int {
		return cmp.Or(cmp.Compare(Revision(a), Revision(b)), olderFirst(a, b))
	})
	excess := max(0, len(kept)-int(*limit))
	return slices.DeleteFunc(kept[:excess], func(rs *appsv1.ReplicaSet) bool {
		return !isEmpty(rs)
	})
}

func isEmpty(rs *appsv1.ReplicaSet) bool {
	terminating := rs.Status.TerminatingReplicas
	return Size(rs) == 0 && rs.Status.Replicas == 0 &&
		(terminating == nil || *terminating == 0) &&
		rs.Status.ObservedGeneration >= rs.Generation
}
