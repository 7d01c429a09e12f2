package rollout

import (
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
)

func steps(resizes []Resize) string {
	var out []string
	for _, r := range resizes {
		out = append(out, fmt.Sprintf("%s=%d", r.ReplicaSet.Name, r.Replicas))
	}
	return strings.Join(out, " ")
}

func TestNewReplicas(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		d       *appsv1.Deployment
		current *appsv1.ReplicaSet
		old     []*appsv1.ReplicaSet
		want    int32
	}{
		{"a first rollout takes all", aDeployment(3, "1", "0"), nil, nil, 3},
		{"the surge, beside a full old set", aDeployment(3, "1", "0"), nil, []*appsv1.ReplicaSet{aSet("a", 3, 3)}, 1},
		{"nothing without surge", aDeployment(3, "0", "1"), nil, []*appsv1.ReplicaSet{aSet("a", 3, 3)}, 0},
		{"what the old set left", aDeployment(3, "0", "1"), aSet("new", 0, 0), []*appsv1.ReplicaSet{aSet("a", 2, 2)}, 1},
		{"never more than the replicas", aDeployment(3, "5", "0"), aSet("new", 1, 1), []*appsv1.ReplicaSet{aSet("a", 1, 1)}, 3},
		{"no room at all", aDeployment(10, "3", "2"), aSet("new", 5, 0), []*appsv1.ReplicaSet{aSet("a", 8, 8)}, 5},
		{"one that is too large shrinks at once", aDeployment(2, "1", "0"), aSet("new", 5, 0), nil, 2},
		{"not before an old set has shrunk", aDeployment(3, "0", "1"), aSet("new", 0, 0), []*appsv1.ReplicaSet{aSet("a", 2, 2, unsettled)}, 0},
		{"not while an old set has more Pods than it should", aDeployment(3, "0", "1"), aSet("new", 0, 0), []*appsv1.ReplicaSet{
			aSet("a", 2, 2, func(rs *appsv1.ReplicaSet) { rs.Status.Replicas = 3 })}, 0},
		{"recreate takes all", recreate(4), aSet("new", 0, 0), nil, 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := NewReplicas(tt.d, tt.current, tt.old); got != tt.want {
				t.Errorf("new set gets %d, want %d", got, tt.want)
			}
		})
	}
}

func recreate(replicas int32) *appsv1.Deployment {
	d := aDeployment(replicas, "0", "0")
	d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
	return d
}

func TestRolling(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		d       *appsv1.Deployment
		current *appsv1.ReplicaSet
		old     []*appsv1.ReplicaSet
		want    string
	}{
		{"done", aDeployment(3, "1", "0"), aSet("new", 3, 3), []*appsv1.ReplicaSet{aSet("a", 0, 0)}, ""},
		{"waits for the surge to become available", aDeployment(3, "1", "0"), aSet("new", 1, 0), []*appsv1.ReplicaSet{aSet("a", 3, 3)}, ""},
		{"an old Pod goes for an available new one", aDeployment(3, "1", "0"), aSet("new", 1, 1), []*appsv1.ReplicaSet{aSet("a", 3, 3)}, "a=2"},
		{"as many as may be unavailable go first", aDeployment(10, "0", "2"), aSet("new", 0, 0), []*appsv1.ReplicaSet{aSet("a", 10, 10)}, "a=8"},
		{"growing and shrinking at once", aDeployment(4, "1", "1"), aSet("new", 0, 0), []*appsv1.ReplicaSet{aSet("a", 4, 4)}, "new=1 a=3"},
		{"new Pods that never become available leave the old ones", aDeployment(10, "3", "2"), aSet("new", 5, 0), []*appsv1.ReplicaSet{aSet("a", 8, 8)}, ""},
		{"even if one of the old ones fails, too", aDeployment(10, "3", "2"), aSet("new", 5, 0), []*appsv1.ReplicaSet{aSet("a", 8, 7)}, ""},
		{"undone, the bad ones go", aDeployment(10, "3", "2"), aSet("new", 8, 7), []*appsv1.ReplicaSet{aSet("b", 5, 0)}, "b=1"},
		{"replaced by a third template, the bad ones go", aDeployment(10, "3", "2"), aSet("new", 0, 0), []*appsv1.ReplicaSet{aSet("a", 8, 8), aSet("b", 5, 0)}, "b=0"},
		{"unavailable old Pods go first, oldest set first", aDeployment(5, "2", "0"), aSet("new", 2, 2), []*appsv1.ReplicaSet{aSet("a", 3, 3), aSet("b", 2, 0)}, "b=0"},
		{"an old set about to shrink counts no Pod twice", aDeployment(3, "1", "0"), aSet("new", 1, 1), []*appsv1.ReplicaSet{
			aSet("a", 2, 2, unsettled, func(rs *appsv1.ReplicaSet) { rs.Status.Replicas, rs.Status.AvailableReplicas = 3, 3 })}, ""},
		{"a current set about to shrink counts only what it keeps", aDeployment(3, "1", "0"), aSet("new", 5, 5), []*appsv1.ReplicaSet{aSet("a", 3, 3)}, "new=3 a=0"},
		{"scaled to nothing", aDeployment(0, "1", "0"), aSet("new", 1, 0), []*appsv1.ReplicaSet{aSet("a", 3, 3)}, "new=0 a=0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := steps(Rolling(tt.d, tt.current, tt.old)); got != tt.want {
				t.Errorf("next steps are %q, want %q", got, tt.want)
			}
		})
	}
}
