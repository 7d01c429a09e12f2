package rollout

import (
	"math"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func TestFenceposts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name               string
		replicas           int32
		surge, unavailable string
		wantSurge, wantUn  int32
	}{
		{"defaults of one", 1, "25%", "25%", 1, 0},
		{"defaults of three", 3, "25%", "25%", 1, 0},
		{"defaults of four", 4, "25%", "25%", 1, 1},
		{"defaults of ten: surge up, unavailable down", 10, "25%", "25%", 3, 2},
		{"both zero can never move", 10, "0%", "0%", 0, 1},
		{"both zero as numbers", 10, "0", "0", 0, 1},
		{"a tiny unavailability rounds to none, no surge to help", 2, "0%", "1%", 0, 1},
		{"a tiny unavailability with a surge", 2, "1%", "1%", 1, 0},
		{"a tiny surge is one", 2, "1%", "0%", 1, 0},
		{"unavailable just below one", 1, "0%", "99%", 0, 1},
		{"half of five", 5, "50%", "50%", 3, 2},
		{"more than all", 10, "110%", "0%", 11, 0},
		{"numbers are taken as they are", 10, "3", "2", 3, 2},
		{"no replicas", 0, "25%", "25%", 0, 1},
		{"a surge that nothing can count", 4, "2147483647", "0", math.MaxInt32 - 4, 0},
		{"a share that nothing can count", 4, "99999999999%", "99999999999%", math.MaxInt32 - 4, math.MaxInt32},
		{"as many replicas as can be counted", math.MaxInt32, "25%", "0", 0, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			surge, unavailable := intstr.Parse(tt.surge), intstr.Parse(tt.unavailable)
			s, u, err := fenceposts(&surge, &unavailable, tt.replicas)
			if err != nil || s != tt.wantSurge || u != tt.wantUn {
				t.Errorf("surge %d, unavailable %d, error %v; want %d, %d", s, u, err, tt.wantSurge, tt.wantUn)
			}
		})
	}
}

func TestFencepostsRefusesNonsense(t *testing.T) {
	t.Parallel()
	good, bad := intstr.FromInt32(1), intstr.FromString("many")
	if _, _, err := fenceposts(&bad, &good, 3); err == nil {
		t.Error("a surge of many Pods is accepted")
	}
	if _, _, err := fenceposts(&good, &bad, 3); err == nil {
		t.Error("an unavailability of many Pods is accepted")
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	d := aDeployment(2, "1", "5")
	if got := MaxUnavailable(d); got != 2 {
		t.Errorf("of 2 replicas %d may be unavailable", got)
	}
	d = aDeployment(0, "25%", "25%")
	if got := MaxUnavailable(d); got != 0 {
		t.Errorf("of no replicas %d may be unavailable", got)
	}
	d = aDeployment(4, "25%", "25%")
	d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
	if MaxSurge(d) != 0 || MaxUnavailable(d) != 0 {
		t.Errorf("recreate has surge %d, unavailable %d", MaxSurge(d), MaxUnavailable(d))
	}
}
