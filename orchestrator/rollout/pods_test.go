package rollout

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

func TestAvailability(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		pod      *corev1.Pod
		minReady int32
		want     bool
	}{
		{"not ready", aPod("a", phase(corev1.PodRunning)), 0, false},
		{"ready, no minimum", aPod("a", readyFor(0)), 0, true},
		{"ready for too short a time", aPod("a", readyFor(9*time.Second)), 10, false},
		{"ready for just long enough", aPod("a", readyFor(10*time.Second)), 10, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := IsAvailable(tt.pod, tt.minReady, noon); got != tt.want {
				t.Errorf("available: %v, want %v", got, tt.want)
			}
		})
	}
}

func TestNextAvailable(t *testing.T) {
	t.Parallel()
	pods := []*corev1.Pod{
		aPod("unready", phase(corev1.PodRunning)),
		aPod("available", readyFor(time.Minute)),
		aPod("later", readyFor(2*time.Second)),
		aPod("next", readyFor(7*time.Second)),
	}
	if wait, ok := NextAvailable(pods, 10, noon); !ok || wait != 3*time.Second {
		t.Errorf("next in %v, %v; want 3s", wait, ok)
	}
	if wait, ok := NextAvailable(pods[:2], 10, noon); ok {
		t.Errorf("next in %v, want none", wait)
	}
	if wait, ok := NextAvailable(pods, 0, noon); ok {
		t.Errorf("next in %v without a minimum, want none", wait)
	}
}

// The order, earlier is deleted first: not assigned before assigned; Pending
// before Unknown before Running; not Ready before Ready; not available before
// available; lower cost; Ready for less time; more restarts; created later.
func TestDoomedOrder(t *testing.T) {
	t.Parallel()
	unready := phase(corev1.PodRunning)
	tests := []struct {
		name          string
		first, second *corev1.Pod
	}{
		{"not assigned before assigned", aPod("z"), aPod("a", phase(corev1.PodPending))},
		{"pending before unknown", aPod("z", phase(corev1.PodPending)), aPod("a", phase(corev1.PodUnknown))},
		{"unknown before running", aPod("z", phase(corev1.PodUnknown)), aPod("a", unready)},
		{"not ready before ready", aPod("z", unready), aPod("a", readyFor(time.Hour))},
		{"not ready before ready, whatever it costs", aPod("z", unready, cost("100")), aPod("a", readyFor(time.Hour), cost("-100"))},
		{"not available before available, whatever it costs", aPod("z", readyFor(9*time.Second), cost("100")), aPod("a", readyFor(11*time.Second))},
		{"lower cost before higher", aPod("z", readyFor(time.Hour), cost("-1")), aPod("a", readyFor(time.Minute))},
		{"cost that is no number is none", aPod("z", readyFor(time.Minute), cost("low")), aPod("a", readyFor(time.Hour), cost("0"))},
		{"ready for less time before more", aPod("z", readyFor(time.Minute), restarted(0)), aPod("a", readyFor(time.Hour), restarted(9))},
		{"more restarts before fewer", aPod("z", unready, restarted(2), aged(time.Hour)), aPod("a", unready, restarted(1), aged(time.Minute))},
		{"created later before earlier", aPod("z", unready, aged(time.Minute)), aPod("a", unready, aged(time.Hour))},
		{"ages of one magnitude are alike", aPod("a", readyFor(time.Hour+time.Minute)), aPod("z", readyFor(time.Hour))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, pods := range [][]*corev1.Pod{{tt.first, tt.second}, {tt.second, tt.first}} {
				if got := Doomed(pods, 1, 10, noon); len(got) != 1 || got[0] != tt.first {
					t.Errorf("the wrong one goes, of %v", podNames(pods))
				}
			}
		})
	}
}

func TestDoomedCount(t *testing.T) {
	t.Parallel()
	pods := []*corev1.Pod{aPod("c", readyFor(time.Hour)), aPod("b", phase(corev1.PodPending)), aPod("a")}
	for n, want := range []string{"", "a", "a b", "c b a", "c b a"} {
		if got := podNames(Doomed(pods, n, 0, noon)); got != want {
			t.Errorf("doomed of %d: %q, want %q", n, got, want)
		}
	}
	if got := podNames(pods); got != "c b a" {
		t.Errorf("the Pods given were put in order %q", got)
	}
}

func podNames(pods []*corev1.Pod) string {
	var out []string
	for _, pod := range pods {
		out = append(out, pod.Name)
	}
	return strings.Join(out, " ")
}
