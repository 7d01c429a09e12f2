package rollout

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
)

// The sets of these cases carry what they were sized for before the change.
func TestScale(t *testing.T) {
	t.Parallel()
	type sets = []*appsv1.ReplicaSet
	tests := []struct {
		name    string
		d       *appsv1.Deployment
		current *appsv1.ReplicaSet
		old     sets
		want    string
	}{
		{"normal scale up", aDeployment(12, "0", "0"), aSet("new", 10, 10, sizedFor(10, 10)), nil, "new=12"},
		{"normal scale down", aDeployment(5, "0", "0"), aSet("new", 10, 10, sizedFor(10, 10)), nil, "new=5"},
		{"no set has Pods: the newest takes all", aDeployment(3, "0", "0"), nil, sets{aSet("a", 0, 0), aSet("b", 0, 0)}, "b=3"},
		{"no set at all", aDeployment(3, "1", "0"), nil, nil, ""},
		{"same size, new annotations", aDeployment(10, "2", "0"), aSet("new", 10, 10, sizedFor(9, 9)), nil, "new=10"},
		{"up with surge", aDeployment(8, "3", "0"), aSet("new", 3, 0, sizedFor(5, 8)), sets{aSet("a", 5, 5, sizedFor(5, 8))}, "a=7 new=4"},
		{"down with surge", aDeployment(5, "3", "0"), aSet("new", 6, 0, sizedFor(10, 13)), sets{aSet("a", 7, 7, sizedFor(10, 13))}, "a=5 new=3"},
		{"up, an even split", aDeployment(10, "0", "0"), aSet("new", 3, 3, sizedFor(6, 6)), sets{aSet("a", 3, 3, sizedFor(6, 6))}, "new=5 a=5"},
		{"up, the newest of equal size gets what is left over", aDeployment(7, "0", "0"), aSet("new", 3, 3, sizedFor(6, 6)), sets{aSet("a", 3, 3, sizedFor(6, 6))}, "new=4 a=3"},
		{"down, the oldest of equal size loses what is left over", aDeployment(5, "0", "0"), aSet("new", 3, 3, sizedFor(6, 6)), sets{aSet("a", 3, 3, sizedFor(6, 6))}, "a=2 new=3"},
		{"three sets", aDeployment(20, "0", "0"), aSet("new", 1, 1, sizedFor(10, 10)), sets{aSet("a", 6, 6, sizedFor(10, 10)), aSet("b", 3, 3, sizedFor(10, 10))}, "a=12 b=6 new=2"},
		{"to zero", aDeployment(0, "3", "0"), aSet("new", 3, 0, sizedFor(8, 11)), sets{aSet("a", 8, 8, sizedFor(8, 11))}, "a=0 new=0"},
		{"without annotations the status is the measure", withStatus(aDeployment(20, "0", "0"), 10), aSet("new", 4, 4), sets{aSet("a", 6, 6)}, "a=12 new=8"},
		{"without any measure nothing but the largest grows", aDeployment(12, "0", "0"), aSet("new", 4, 4), sets{aSet("a", 6, 6)}, "a=8 new=4"},
		{"a saturated current set needs no old ones", aDeployment(3, "1", "0"), aSet("new", 3, 3, sizedFor(3, 4)), sets{aSet("a", 2, 2, sizedFor(2, 3))}, "a=0"},
		{"growth waits until others have shrunk", aDeployment(8, "3", "0"), aSet("new", 3, 0, sizedFor(5, 8)), sets{aSet("a", 5, 5, sizedFor(5, 8), unsettled)}, ""},
		{"and so does that of one alone", aDeployment(8, "3", "0"), aSet("new", 0, 0), sets{aSet("a", 5, 5, sizedFor(5, 8), unsettled)}, ""},
		{"shrinking does not wait", aDeployment(5, "3", "0"), aSet("new", 6, 0, sizedFor(10, 13), unsettled), sets{aSet("a", 7, 7, sizedFor(10, 13))}, "a=5 new=3"},
		{"proportions do not break the minimum", aDeployment(3, "25%", "25%"), aSet("new", 5, 0, sizedFor(10, 13)), sets{aSet("a", 8, 8, sizedFor(10, 13))}, "a=3 new=1"},
		{"recreate keeps sizes and notes the number", func() *appsv1.Deployment { return recreate(5) }(), aSet("new", 2, 2, sizedFor(3, 3)), sets{aSet("a", 1, 1, sizedFor(3, 3))}, "a=1 new=2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := steps(Scale(tt.d, tt.current, tt.old)); got != tt.want {
				t.Errorf("sizes become %q, want %q", got, tt.want)
			}
		})
	}
}

func withStatus(d *appsv1.Deployment, replicas int32) *appsv1.Deployment {
	d.Status.Replicas = replicas
	return d
}

func TestIsScaling(t *testing.T) {
	t.Parallel()
	d := aDeployment(5, "1", "0")
	for name, tt := range map[string]struct {
		sets []*appsv1.ReplicaSet
		want bool
	}{
		"sized for this":             {[]*appsv1.ReplicaSet{aSet("a", 5, 5, sizedFor(5, 6))}, false},
		"sized for another":          {[]*appsv1.ReplicaSet{aSet("a", 4, 4, sizedFor(4, 5))}, true},
		"an empty set does not tell": {[]*appsv1.ReplicaSet{aSet("a", 0, 0, sizedFor(4, 5))}, false},
		"nor does one without notes": {[]*appsv1.ReplicaSet{aSet("a", 4, 4)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := IsScaling(d, tt.sets); got != tt.want {
				t.Errorf("scaling: %v, want %v", got, tt.want)
			}
		})
	}
}
