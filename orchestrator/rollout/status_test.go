package rollout

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

func progressing(reason string, age time.Duration) appsv1.DeploymentCondition {
	status := corev1.ConditionTrue
	if reason == ReasonTimedOut {
		status = corev1.ConditionFalse
	}
	return appsv1.DeploymentCondition{Type: appsv1.DeploymentProgressing, Status: status, Reason: reason, LastUpdateTime: ago(age), LastTransitionTime: ago(age)}
}

func with(conditions ...appsv1.DeploymentCondition) appsv1.DeploymentStatus {
	return appsv1.DeploymentStatus{Conditions: conditions}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	d := aDeployment(5, "2", "1")
	d.Generation = 4
	d.Status.CollisionCount = new(int32(2))
	current := aSet("new", 3, 1)
	old := []*appsv1.ReplicaSet{
		aSet("a", 2, 2, func(rs *appsv1.ReplicaSet) { rs.Status.TerminatingReplicas = new(int32(1)) }),
		aSet("b", 1, 1),
	}
	want := appsv1.DeploymentStatus{
		ObservedGeneration: 4, Replicas: 6, UpdatedReplicas: 3, ReadyReplicas: 4, AvailableReplicas: 4, UnavailableReplicas: 2,
		TerminatingReplicas: new(int32(1)), CollisionCount: new(int32(2)),
		Conditions: []appsv1.DeploymentCondition{{
			Type: appsv1.DeploymentAvailable, Status: corev1.ConditionTrue, Reason: "MinimumReplicasAvailable",
			Message: "Deployment has minimum availability.", LastUpdateTime: ago(0), LastTransitionTime: ago(0),
		}},
	}
	if diff := cmp.Diff(want, Status(d, &d.Status, current, old, noon)); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}

	old[1].Status.TerminatingReplicas = nil
	old[1].Status.AvailableReplicas = 0
	got := Status(d, &d.Status, current, old, noon)
	if got.TerminatingReplicas != nil {
		t.Errorf("%d Pods are terminating, though one set does not count them", *got.TerminatingReplicas)
	}
	if c := Condition(&got, appsv1.DeploymentAvailable); c.Status != corev1.ConditionFalse || c.Reason != "MinimumReplicasUnavailable" || c.Message != "Deployment does not have minimum availability." {
		t.Errorf("3 of 5 with 1 unavailable: %+v", c)
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	complete := func(c ...appsv1.DeploymentCondition) appsv1.DeploymentStatus {
		return appsv1.DeploymentStatus{Replicas: 3, UpdatedReplicas: 3, ReadyReplicas: 3, AvailableReplicas: 3, Conditions: c}
	}
	stuck := func(c ...appsv1.DeploymentCondition) appsv1.DeploymentStatus {
		return appsv1.DeploymentStatus{Replicas: 4, UpdatedReplicas: 1, ReadyReplicas: 3, AvailableReplicas: 3, Conditions: c}
	}
	crashed := complete(progressing(ReasonComplete, time.Hour))
	crashed.AvailableReplicas = 1
	current := aSet("new", 3, 3)
	tests := []struct {
		name        string
		was         appsv1.DeploymentStatus
		status      appsv1.DeploymentStatus
		current     *appsv1.ReplicaSet
		want        string
		wantMessage string
		wantUpdate  time.Duration // how old the last update is
		wantChange  time.Duration // and the last transition
	}{
		{"begun", with(), stuck(), current, ReasonUpdated, `ReplicaSet "new" is progressing.`, 0, 0},
		{"begun, without a set", with(), stuck(), nil, ReasonUpdated, `Deployment "web" is progressing.`, 0, 0},
		{"moves", with(), stuck(progressing(ReasonUpdated, time.Hour)), current, ReasonUpdated, `ReplicaSet "new" is progressing.`, 0, time.Hour},
		{"stands still, not for long", stuck(), stuck(progressing(ReasonUpdated, 599*time.Second)), current, ReasonUpdated, "", 599 * time.Second, 599 * time.Second},
		{"stands still for too long", stuck(), stuck(progressing(ReasonUpdated, 600*time.Second)), current, ReasonTimedOut, `ReplicaSet "new" has timed out progressing.`, 0, 0},
		{"still timed out", stuck(), stuck(progressing(ReasonTimedOut, time.Hour)), current, ReasonTimedOut, "", time.Hour, time.Hour},
		{"moves after it timed out", with(), stuck(progressing(ReasonTimedOut, time.Hour)), current, ReasonUpdated, `ReplicaSet "new" is progressing.`, 0, 0},
		{"complete", stuck(), complete(progressing(ReasonUpdated, time.Minute)), current, ReasonComplete, `ReplicaSet "new" has successfully progressed.`, 0, time.Minute},
		{"still complete", complete(), complete(progressing(ReasonComplete, time.Hour)), current, ReasonComplete, "", time.Hour, time.Hour},
		{"a crash afterwards is no rollout", complete(), crashed, current, ReasonComplete, "", time.Hour, time.Hour},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			Judge(aDeployment(3, "1", "0"), &tt.was, &tt.status, tt.current, noon)
			got := Condition(&tt.status, appsv1.DeploymentProgressing)
			if got == nil || got.Reason != tt.want || got.Message != tt.wantMessage {
				t.Fatalf("condition is %+v, want %s %q", got, tt.want, tt.wantMessage)
			}
			if update, change := noon.Sub(got.LastUpdateTime.Time), noon.Sub(got.LastTransitionTime.Time); update != tt.wantUpdate || change != tt.wantChange {
				t.Errorf("updated %v, changed %v ago; want %v, %v", update, change, tt.wantUpdate, tt.wantChange)
			}
		})
	}
}

func TestJudgeWithoutDeadline(t *testing.T) {
	t.Parallel()
	d := aDeployment(3, "1", "0")
	d.Spec.ProgressDeadlineSeconds = new(int32(1<<31 - 1))
	status := with(progressing(ReasonUpdated, time.Hour))
	Judge(d, &appsv1.DeploymentStatus{}, &status, nil, noon)
	if len(status.Conditions) != 0 {
		t.Errorf("conditions are %+v, want none", status.Conditions)
	}
}

func TestUntilTimeout(t *testing.T) {
	t.Parallel()
	d := aDeployment(3, "1", "0")
	paused := d.DeepCopy()
	paused.Spec.Paused = true
	unlimited := d.DeepCopy()
	unlimited.Spec.ProgressDeadlineSeconds = nil
	tests := []struct {
		name   string
		d      *appsv1.Deployment
		status appsv1.DeploymentStatus
		want   time.Duration
		wantOK bool
	}{
		{"under way", d, with(progressing(ReasonUpdated, 3*time.Minute)), 7 * time.Minute, true},
		{"overdue", d, with(progressing(ReasonCreated, time.Hour)), 0, true},
		{"complete", d, with(progressing(ReasonComplete, 3*time.Minute)), 0, false},
		{"timed out", d, with(progressing(ReasonTimedOut, 3*time.Minute)), 0, false},
		{"nothing known", d, with(), 0, false},
		{"paused", paused, with(progressing(ReasonUpdated, 3*time.Minute)), 0, false},
		{"no deadline", unlimited, with(progressing(ReasonUpdated, 3*time.Minute)), 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got, ok := UntilTimeout(tt.d, &tt.status, noon); got != tt.want || ok != tt.wantOK {
				t.Errorf("times out in %v, %v; want %v, %v", got, ok, tt.want, tt.wantOK)
			}
		})
	}
}

func TestNotes(t *testing.T) {
	t.Parallel()
	running := aDeployment(3, "1", "0")
	paused := running.DeepCopy()
	paused.Spec.Paused = true
	tests := []struct {
		name        string
		status      appsv1.DeploymentStatus
		note        func(*appsv1.DeploymentStatus)
		want        string
		wantStatus  corev1.ConditionStatus
		wantMessage string
	}{
		{"paused", with(progressing(ReasonUpdated, time.Hour)), func(s *appsv1.DeploymentStatus) { NotePause(paused, s, noon) }, ReasonPaused, corev1.ConditionUnknown, "Deployment is paused"},
		{"paused after it timed out", with(progressing(ReasonTimedOut, time.Hour)), func(s *appsv1.DeploymentStatus) { NotePause(paused, s, noon) }, ReasonTimedOut, corev1.ConditionFalse, ""},
		{"resumed", with(progressing(ReasonPaused, time.Hour)), func(s *appsv1.DeploymentStatus) { NotePause(running, s, noon) }, ReasonResumed, corev1.ConditionUnknown, "Deployment is resumed"},
		{"was not paused", with(progressing(ReasonUpdated, time.Hour)), func(s *appsv1.DeploymentStatus) { NotePause(running, s, noon) }, ReasonUpdated, corev1.ConditionTrue, ""},
		{"created", with(), func(s *appsv1.DeploymentStatus) { NoteCreated(running, s, "web-1", noon) }, ReasonCreated, corev1.ConditionTrue, `Created new replica set "web-1"`},
		{"undone after it timed out", with(progressing(ReasonTimedOut, time.Hour)), func(s *appsv1.DeploymentStatus) { NoteFound(running, s, "web-1", noon) }, ReasonFound, corev1.ConditionTrue, `Found new replica set "web-1"`},
		{"not created", with(), func(s *appsv1.DeploymentStatus) {
			NoteCreateError(running, s, "web-1", errors.New("disk full"), noon)
		}, ReasonCreateError, corev1.ConditionFalse, `Failed to create new replica set "web-1": disk full`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.note(&tt.status)
			got := Condition(&tt.status, appsv1.DeploymentProgressing)
			if got == nil || got.Reason != tt.want || got.Status != tt.wantStatus || got.Message != tt.wantMessage || len(tt.status.Conditions) != 1 {
				t.Errorf("conditions are %+v, want %s %s %q", tt.status.Conditions, tt.wantStatus, tt.want, tt.wantMessage)
			}
		})
	}
}

func TestCopyFailure(t *testing.T) {
	t.Parallel()
	failing := func(message string) func(*appsv1.ReplicaSet) {
		return func(rs *appsv1.ReplicaSet) {
			rs.Status.Conditions = []appsv1.ReplicaSetCondition{{Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue, Reason: ReasonFailedCreate, Message: message}}
		}
	}
	tests := []struct {
		name    string
		current *appsv1.ReplicaSet
		old     []*appsv1.ReplicaSet
		want    string
	}{
		{"none", aSet("new", 1, 1), []*appsv1.ReplicaSet{aSet("a", 1, 1)}, ""},
		{"the current one's first", aSet("new", 1, 1, failing("new")), []*appsv1.ReplicaSet{aSet("a", 1, 1, failing("a"))}, "new"},
		{"else that of an old one", aSet("new", 1, 1), []*appsv1.ReplicaSet{aSet("a", 1, 1, failing("a"))}, "a"},
		{"also without a current one", nil, []*appsv1.ReplicaSet{aSet("a", 1, 1, failing("a"))}, "a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			status := with(appsv1.DeploymentCondition{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionFalse, Message: "before"})
			CopyFailure(&status, tt.current, tt.old)
			var got string
			if c := Condition(&status, appsv1.DeploymentReplicaFailure); c != nil {
				got = c.Message
			}
			if got != tt.want {
				t.Errorf("failure is %q, want %q", got, tt.want)
			}
		})
	}
}
