// Package rollout holds the arithmetic of Deployments and ReplicaSets: sizes,
// bounds, status, conditions, revisions and which Pod goes first. All of it is
// pure: objects and the time in, values out. What it decides is Kubernetes'
// own; where Kubernetes lets a rollout leave its bounds, the place says how
// this package keeps them.
package rollout

import (
	"fmt"
	"math"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

// fenceposts turns the two settings of a rolling update into numbers of Pods:
// the surge is rounded up, the unavailability down. Both zero could never make
// progress, so then one Pod may be unavailable:
//
//	replicas 10, surge 25%, unavailable 25%  ->  3, 2
//	replicas  2, surge 25%, unavailable  1%  ->  1, 0
//	replicas  1, surge  0,  unavailable 25%  ->  0, 1
func fenceposts(surge, unavailable *intstr.IntOrString, replicas int32) (int32, int32, error) {
	zero := intstr.FromInt32(0)
	s, err := intstr.GetScaledValueFromIntOrPercent(intstr.ValueOrDefault(surge, zero), int(replicas), true)
	if err != nil {
		return 0, 0, fmt.Errorf("read maxSurge: %w", err)
	}
	u, err := intstr.GetScaledValueFromIntOrPercent(intstr.ValueOrDefault(unavailable, zero), int(replicas), false)
	if err != nil {
		return 0, 0, fmt.Errorf("read maxUnavailable: %w", err)
	}
	// replicas + surge must not overflow: the sum would be negative, and the
	// rollout would never start.
	s, u = min(s, math.MaxInt32-int(replicas)), min(u, math.MaxInt32)
	if s == 0 && u == 0 {
		u = 1
	}
	return int32(s), int32(u), nil
}

// MaxSurge is how many Pods d may have beyond its replicas.
func MaxSurge(d *appsv1.Deployment) int32 {
	surge, _ := bounds(d)
	return surge
}

// MaxUnavailable is how many of d's replicas may be unavailable.
func MaxUnavailable(d *appsv1.Deployment) int32 {
	replicas := Replicas(d)
	if replicas == 0 {
		return 0
	}
	_, unavailable := bounds(d)
	return min(unavailable, replicas)
}

// bounds is zero for both where d does not roll: Recreate has no surge, and
// says nothing about availability. Settings that validation would have refused
// count as zero, the most careful reading.
func bounds(d *appsv1.Deployment) (surge, unavailable int32) {
	if !IsRolling(d) {
		return 0, 0
	}
	rolling := d.Spec.Strategy.RollingUpdate
	if rolling == nil {
		rolling = &appsv1.RollingUpdateDeployment{}
	}
	surge, unavailable, err := fenceposts(rolling.MaxSurge, rolling.MaxUnavailable, Replicas(d))
	if err != nil {
		return 0, 0
	}
	return surge, unavailable
}

// IsRolling says whether d replaces its Pods little by little.
func IsRolling(d *appsv1.Deployment) bool {
	return d.Spec.Strategy.Type == appsv1.RollingUpdateDeploymentStrategyType
}

// Replicas is what d asks for; Kubernetes' default where it does not say.
func Replicas(d *appsv1.Deployment) int32 {
	return ptr.Deref(d.Spec.Replicas, 1)
}

// Size is how many Pods a ReplicaSet is asked to have.
func Size(rs *appsv1.ReplicaSet) int32 {
	return ptr.Deref(rs.Spec.Replicas, 1)
}
