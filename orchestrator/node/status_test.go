package node

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/runtime/container"
)

func TestContainerStates(t *testing.T) {
	t.Parallel()
	crashed := set(func(_ *state, u *unit) { u.crash = backoff{delay: 20 * time.Second, since: noon.Add(-time.Minute)} })
	tests := map[string]struct {
		views []view
		state string // kind, reason and message of the state
		last  string // reason of the last termination
		phase corev1.PodPhase
		ready bool
		count int32
	}{
		"new":                   {state: "waiting ContainerCreating", phase: corev1.PodPending},
		"running, not yet told": {views: []view{running}, state: "running", phase: corev1.PodRunning},
		"serving":               {views: []view{serving}, state: "running", phase: corev1.PodRunning, ready: true},
		"postStart under way": {
			views: []view{running, set(func(_ *state, u *unit) { u.hooked = false })}, state: "waiting ContainerCreating", phase: corev1.PodPending},
		"pull failed": {
			views: []view{set(func(_ *state, u *unit) { u.wait = &waiting{reason: reasonErrImagePull, message: "no route"} })},
			state: "waiting ErrImagePull no route", phase: corev1.PodPending},
		"crashed, restarting": {views: []view{exited}, state: "terminated Error", phase: corev1.PodRunning},
		"crashed, backing off": {
			views: []view{exited, crashed}, last: "Error", phase: corev1.PodRunning,
			state: "waiting CrashLoopBackOff back-off 20s restarting failed container=web pod=a_default(uid-a)"},
		"crashed, deleted":                 {views: []view{exited, crashed, deleted, drained}, state: "terminated Error", phase: corev1.PodFailed},
		"crashed, past the Pod's deadline": {views: []view{exited, crashed, expired}, state: "terminated Error", phase: corev1.PodFailed},
		"never begun before the deadline": {
			views: []view{expired}, phase: corev1.PodFailed,
			state: "terminated ContainerStatusUnknown"},
		"out of memory": {
			views: []view{exited, never, set(func(_ *state, u *unit) { u.cur.OOMKilled, u.cur.ExitCode = true, 137 })},
			state: "terminated OOMKilled", phase: corev1.PodFailed},
		"completed": {
			views: []view{exited, never, set(func(_ *state, u *unit) { u.cur.ExitCode = 0 })}, state: "terminated Completed", phase: corev1.PodSucceeded},
		"second attempt": {
			views: []view{serving, set(func(_ *state, u *unit) { u.last, u.cur.Attempt = attemptOf(0, container.Exited), 1 })},
			state: "running", last: "Error", phase: corev1.PodRunning, ready: true, count: 1},
		"pull for the second attempt failed": {
			views: []view{exited, set(func(_ *state, u *unit) { u.wait = &waiting{reason: reasonImagePullBackOff} })},
			state: "waiting ImagePullBackOff", last: "Error", phase: corev1.PodRunning},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := podStatus(stateOf(test.views...), netip.MustParseAddr("10.9.0.1"), noon)
			cs := st.ContainerStatuses[0]
			if got := describe(cs.State); got != test.state {
				t.Errorf("state is %q, want %q", got, test.state)
			}
			last := ""
			if l := cs.LastTerminationState.Terminated; l != nil {
				last = l.Reason
			}
			if last != test.last || st.Phase != test.phase || cs.Ready != test.ready || cs.RestartCount != test.count {
				t.Errorf("last %q, phase %s, ready %t, restarts %d", last, st.Phase, cs.Ready, cs.RestartCount)
			}
			if c := condition(st.Conditions, corev1.PodReady); (c.Status == corev1.ConditionTrue) != test.ready {
				t.Errorf("condition Ready is %+v", c)
			}
		})
	}
}

func expired(s *state) { s.failure = &failure{reason: reasonDeadline} }

func never(s *state) { s.pod.Spec.RestartPolicy = corev1.RestartPolicyNever }

func describe(s corev1.ContainerState) string {
	switch {
	case s.Waiting != nil && s.Waiting.Message != "":
		return "waiting " + s.Waiting.Reason + " " + s.Waiting.Message
	case s.Waiting != nil:
		return "waiting " + s.Waiting.Reason
	case s.Running != nil:
		return "running"
	case s.Terminated != nil:
		return "terminated " + s.Terminated.Reason
	}
	return "nothing"
}

func TestConditions(t *testing.T) {
	t.Parallel()
	gate := set(func(s *state, _ *unit) {
		s.pod.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "example.com/ok"}}
	})
	passed := set(func(s *state, _ *unit) {
		s.pod.Status.Conditions = []corev1.PodCondition{{Type: "example.com/ok", Status: corev1.ConditionTrue}}
	})
	tests := map[string]struct {
		views []view
		want  []string // type, status, reason, message
	}{
		"new": {want: []string{
			"PodReadyToStartContainers False", "Initialized True",
			"Ready False ContainersNotReady containers with unready status: [web]",
			"ContainersReady False ContainersNotReady containers with unready status: [web]",
			"PodScheduled True",
		}},
		"serving": {views: []view{serving}, want: []string{
			"PodReadyToStartContainers True", "Initialized True", "Ready True", "ContainersReady True", "PodScheduled True",
		}},
		"completed": {views: []view{exited, never, set(func(_ *state, u *unit) { u.cur.ExitCode = 0 })}, want: []string{
			"PodReadyToStartContainers False", "Initialized True PodCompleted", "Ready False PodCompleted", "ContainersReady False PodCompleted", "PodScheduled True",
		}},
		"failed": {views: []view{exited, never}, want: []string{
			"PodReadyToStartContainers False", "Initialized True", "Ready False PodFailed", "ContainersReady False PodFailed", "PodScheduled True",
		}},
		"failed as a whole, containers still end": {views: []view{running, expired}, want: []string{
			"PodReadyToStartContainers True", "Initialized True", "Ready False PodFailed", "ContainersReady False PodFailed", "PodScheduled True",
		}},
		"gate closed": {views: []view{serving, gate}, want: []string{
			"PodReadyToStartContainers True", "Initialized True",
			`Ready False ReadinessGatesNotReady corresponding condition of pod readiness gate "example.com/ok" does not exist.`, "ContainersReady True", "PodScheduled True",
		}},
		"gate closed, so traffic does not have it": {views: []view{running, gate}, want: []string{
			"PodReadyToStartContainers True", "Initialized True",
			`Ready False ReadinessGatesNotReady corresponding condition of pod readiness gate "example.com/ok" does not exist.`, "ContainersReady True", "PodScheduled True",
		}},
		"gate opened, traffic does not have it yet": {
			views: []view{running, gate, passed, set(func(s *state, u *unit) {
				s.reported.ContainerStatuses = []corev1.ContainerStatus{{Name: "web", ContainerID: u.cur.ID, Ready: true}}
			})}, want: []string{
				"PodReadyToStartContainers True", "Initialized True",
				"Ready False ReadinessGatesNotReady requests do not reach the Pod yet", "ContainersReady True", "PodScheduled True",
			}},
		"gate open": {views: []view{serving, gate, passed}, want: []string{
			"PodReadyToStartContainers True", "Initialized True", "Ready True", "ContainersReady True", "PodScheduled True",
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, c := range podStatus(stateOf(test.views...), netip.Addr{}, noon).Conditions {
				line := string(c.Type) + " " + string(c.Status)
				for _, s := range []string{c.Reason, c.Message} {
					if s != "" {
						line += " " + s
					}
				}
				got = append(got, line)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What the API gives back must be equal to what was reported, or the worker
// would write for ever.
func TestStatusSurvivesTheAPI(t *testing.T) {
	t.Parallel()
	s := stateOf(serving, set(func(_ *state, u *unit) {
		u.last = attemptOf(0, container.Exited)
		u.cur.StartedAt = noon.Add(123456789).In(time.FixedZone("x", 3600))
	}))
	st := podStatus(s, netip.MustParseAddr("10.9.0.1"), noon.Add(987654321))
	data, err := json.Marshal(st)
	if err != nil {
		t.Fatal(err)
	}
	var back corev1.PodStatus
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	s.reported = ownStatus(back)
	later := podStatus(s, netip.MustParseAddr("10.9.0.1"), noon.Add(time.Hour))
	if diff := cmp.Diff(s.reported, later, cmp.Comparer(func(a, b metav1.Time) bool { return a.Time.Equal(b.Time) })); diff != "" {
		t.Errorf("an hour later (-reported +now):\n%s", diff)
	}
}

func TestReadinessOfSingleContainers(t *testing.T) {
	t.Parallel()
	s := stateOf(running)
	s.pod.Spec.Containers = append(s.pod.Spec.Containers, corev1.Container{Name: "log", Image: "log:1"})
	log := &unit{name: "log", cur: attemptOf(1, container.Running), course: course{hooked: true, started: true}}
	s.units = append(s.units, log)
	check := func(when string, web, log, pod bool) {
		t.Helper()
		st := podStatus(s, netip.Addr{}, noon)
		got := []bool{st.ContainerStatuses[0].Ready, st.ContainerStatuses[1].Ready, condition(st.Conditions, corev1.PodReady).Status == corev1.ConditionTrue}
		if diff := cmp.Diff([]bool{web, log, pod}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
		s.reported = st
	}
	check("one is ready", true, false, false)
	log.ready = true
	check("both are, traffic does not know", true, false, false)
	s.serving = true
	check("serving", true, true, true)
	s.units[0].cur.Paused, s.serving = true, false
	check("one is paused", false, true, false)
}
