package rollout

import (
	appsv1 "k8s.io/api/apps/v1"
)

// Resize asks a ReplicaSet to have another number of Pods.
type Resize struct {
	ReplicaSet *appsv1.ReplicaSet
	Replicas   int32
}

// NewReplicas is the size that d's current ReplicaSet can take now. current is
// nil if it does not exist yet.
func NewReplicas(d *appsv1.Deployment, current *appsv1.ReplicaSet, old []*appsv1.ReplicaSet) int32 {
	var size int32
	if current != nil {
		size = Size(current)
	}
	switch {
	case !IsRolling(d) || size > Replicas(d):
		return Replicas(d)
	case !Settled(All(current, old)):
		return size
	}
	room := Replicas(d) + MaxSurge(d) - totalSize(old) - size
	return size + max(0, min(room, Replicas(d)-size))
}

// Rolling is the next step of a rolling update: the current set grows as far as
// the surge allows, the old ones shrink as far as availability allows. Neither
// depends on the other: what the current set gains is not available yet.
func Rolling(d *appsv1.Deployment, current *appsv1.ReplicaSet, old []*appsv1.ReplicaSet) []Resize {
	var steps []Resize
	size := NewReplicas(d, current, old)
	if size != Size(current) {
		steps = append(steps, Resize{current, size})
	}
	return append(steps, shrinkOld(d, min(size, assured(current)), active(old))...)
}

// shrinkOld takes from the old sets what can go, oldest set first; available is
// what the current set contributes. Two bounds hold:
//
// The sizes left over, with what is available of the current set, must reach
// the minimum. With 10 replicas, surge 3 and unavailable 2, a current set
// of 5 that never becomes available leaves the old one at 8: 13 - 8 - 5 = 0. If
// the user pushes yet another template, those 5 are old and can all go.
//
// Unavailable old Pods go first: they serve nobody, and would hold up the
// rollout for ever. Beyond them only as many Pods go as are available in excess
// of the minimum.
func shrinkOld(d *appsv1.Deployment, available int32, old []*appsv1.ReplicaSet) []Resize {
	atLeast := Replicas(d) - MaxUnavailable(d)
	spare := totalSize(old) + available - atLeast
	if spare <= 0 {
		return nil
	}
	size := map[*appsv1.ReplicaSet]int32{}
	for _, rs := range old {
		unhealthy := min(spare, Size(rs)-assured(rs))
		size[rs] = Size(rs) - unhealthy
		spare -= unhealthy
		available += assured(rs)
	}
	spare = min(spare, available-atLeast)
	for _, rs := range old {
		healthy := max(0, min(spare, size[rs]))
		size[rs] -= healthy
		spare -= healthy
	}
	var steps []Resize
	for _, rs := range old {
		if size[rs] != Size(rs) {
			steps = append(steps, Resize{rs, size[rs]})
		}
	}
	return steps
}

// ToZero empties the sets that are asked to have any Pod.
func ToZero(sets []*appsv1.ReplicaSet) []Resize {
	var steps []Resize
	for _, rs := range active(sets) {
		steps = append(steps, Resize{rs, 0})
	}
	return steps
}
