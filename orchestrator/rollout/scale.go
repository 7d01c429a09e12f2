package rollout

import (
	"cmp"
	"math"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
)

// IsScaling says whether d's replicas were changed since its ReplicaSets were
// last sized: they carry the number that they were sized for.
func IsScaling(d *appsv1.Deployment, sets []*appsv1.ReplicaSet) bool {
	for _, rs := range active(sets) {
		desired, ok := numberAnnotation(rs, DesiredReplicasAnnotation)
		if ok && desired != Replicas(d) {
			return true
		}
	}
	return false
}

// Scale brings the ReplicaSets to d's replicas without moving the rollout on.
// One set alone takes all. Several, in the middle of a rollout, keep their
// proportions, so that a bad new template does not get a larger share by it.
func Scale(d *appsv1.Deployment, current *appsv1.ReplicaSet, old []*appsv1.ReplicaSet) []Resize {
	all := All(current, old)
	if only := activeOrLatest(current, old); only != nil {
		if Replicas(d) > Size(only) && !Settled(all) {
			return nil
		}
		return outdated(d, []Resize{{only, Replicas(d)}})
	}
	if isSaturated(d, current) {
		return ToZero(old)
	}
	sets := active(all)
	if len(sets) == 0 { // paused before anything was rolled out
		return nil
	}
	if !IsRolling(d) {
		return outdated(d, sizes(sets))
	}
	return outdated(d, proportional(d, all, sets))
}

// activeOrLatest is the only set with Pods, the newest one where none has any,
// nil where several have.
func activeOrLatest(current *appsv1.ReplicaSet, old []*appsv1.ReplicaSet) *appsv1.ReplicaSet {
	sets := active(All(current, old))
	switch {
	case len(sets) == 1:
		return sets[0]
	case len(sets) > 1:
		return nil
	case current != nil:
		return current
	case len(old) > 0:
		return slices.MaxFunc(old, olderFirst)
	default:
		return nil
	}
}

// isSaturated says whether current alone gives d all that it asks for. Old sets
// can have Pods then only because they were adopted meanwhile.
func isSaturated(d *appsv1.Deployment, current *appsv1.ReplicaSet) bool {
	if current == nil {
		return false
	}
	desired, ok := numberAnnotation(current, DesiredReplicasAnnotation)
	return ok && desired == Replicas(d) && Size(current) == Replicas(d) && current.Status.AvailableReplicas == Replicas(d)
}

// proportional spreads the change of the total over the active sets, largest
// first; what rounding leaves over is the largest set's.
func proportional(d *appsv1.Deployment, all, sets []*appsv1.ReplicaSet) []Resize {
	var allowed int32
	if Replicas(d) > 0 {
		allowed = Replicas(d) + MaxSurge(d)
	}
	toAdd := allowed - totalSize(sets)
	if toAdd > 0 && !Settled(all) {
		return nil
	}
	// The newest of equal size grows first, the oldest shrinks first.
	slices.SortFunc(sets, func(a, b *appsv1.ReplicaSet) int {
		age := olderFirst(a, b)
		if toAdd > 0 {
			age = -age
		}
		return cmp.Or(cmp.Compare(Size(b), Size(a)), age)
	})
	steps := sizes(sets)
	var added int32
	for i := range steps {
		change := share(d, sets[i], toAdd, added)
		steps[i].Replicas += change
		added += change
	}
	steps[0].Replicas = max(0, steps[0].Replicas+toAdd-added)
	if toAdd < 0 {
		keepAvailable(d, steps)
	}
	return steps
}

// share is the part of toAdd that falls to rs, never more than is left of it
// and never in the other direction.
func share(d *appsv1.Deployment, rs *appsv1.ReplicaSet, toAdd, added int32) int32 {
	left := toAdd - added
	switch {
	case toAdd > 0:
		return max(0, min(fraction(d, rs), left))
	case toAdd < 0:
		return min(0, max(fraction(d, rs), left))
	default:
		return 0
	}
}

// fraction is how much rs changes if it keeps its part of the largest number of
// Pods that the Deployment could have when rs was last sized.
func fraction(d *appsv1.Deployment, rs *appsv1.ReplicaSet) int32 {
	if Replicas(d) == 0 {
		return -Size(rs)
	}
	before, ok := numberAnnotation(rs, MaxReplicasAnnotation)
	if !ok || before <= 0 {
		before = d.Status.Replicas
	}
	if before <= 0 {
		return 0
	}
	after := float64(Size(rs)) * float64(Replicas(d)+MaxSurge(d)) / float64(before)
	return int32(math.Round(after)) - Size(rs)
}

// keepAvailable moves a reduction from a set that would lose available Pods to
// one that has others to lose. Proportions alone can break the minimum: 8 old
// Pods that are available and 5 new ones that are not, scaled from 10 replicas
// to 3 with 25% each way, come out as 2 and 2, where 3 must be available.
func keepAvailable(d *appsv1.Deployment, steps []Resize) {
	atLeast := Replicas(d) - MaxUnavailable(d)
	var left int32
	for _, s := range steps {
		left += min(s.Replicas, s.ReplicaSet.Status.AvailableReplicas)
	}
	for i := range steps {
		loser := &steps[i]
		for j := range steps {
			giver := &steps[j]
			more := min(
				atLeast-left,
				assured(loser.ReplicaSet)-loser.Replicas,
				giver.Replicas-giver.ReplicaSet.Status.AvailableReplicas,
			)
			if more <= 0 {
				continue
			}
			loser.Replicas += more
			giver.Replicas -= more
			left += more
		}
	}
}

func sizes(sets []*appsv1.ReplicaSet) []Resize {
	steps := make([]Resize, len(sets))
	for i, rs := range sets {
		steps[i] = Resize{rs, Size(rs)}
	}
	return steps
}

// outdated leaves out the steps that would change neither size nor annotations.
func outdated(d *appsv1.Deployment, steps []Resize) []Resize {
	return slices.DeleteFunc(steps, func(s Resize) bool {
		return s.Replicas == Size(s.ReplicaSet) && !SetReplicasAnnotations(d, s.ReplicaSet.DeepCopy())
	})
}
