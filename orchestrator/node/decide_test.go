package node

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/runtime/container"
)

// noon is when the tables below take place.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// A view is a state in the making.
type view func(*state)

func stateOf(views ...view) *state {
	s := newState(newPodObject("a", "web:1"))
	s.bound, s.mounted, s.address = true, true, netip.MustParseAddr("10.9.8.1")
	for _, v := range views {
		v(s)
	}
	return s
}

func attemptOf(number int, state container.State) *attempt {
	a := &attempt{Status: container.Status{ID: "docker://" + string(rune('a'+number)), Name: "web", Attempt: number, State: state, Image: "web:1", ImageID: "sha256:1"}}
	a.StartedAt = noon.Add(-time.Minute)
	if state == container.Exited {
		a.FinishedAt = noon.Add(-time.Second)
		a.ExitCode = 1
	}
	return a
}

func running(s *state) {
	u := s.units[0]
	u.cur = attemptOf(0, container.Running)
	u.cur.Hash = hash(s.spec("web"))
	u.next, u.hooked, u.started, u.ready = 1, true, true, true
}

func serving(s *state) {
	running(s)
	standing(s)
	s.admitted, s.serving = true, true
}

// standing has a sandbox stand by.
func standing(s *state) {
	s.standby.cur = attemptOf(0, container.Running)
	s.standby.cur.ID, s.standby.cur.Name, s.standby.cur.Detached = "box", container.SandboxName, true
}

func noneStands(s *state) { s.standby.cur = nil }

func exited(s *state) {
	running(s)
	s.units[0].cur = attemptOf(0, container.Exited)
}

func withImage(s *state) { s.units[0].image = &container.Image{ID: "sha256:1"} }

func deleted(s *state) {
	at := metav1.NewTime(noon.Add(30 * time.Second))
	s.pod.DeletionTimestamp = &at
	s.deadline = at.Time
}

func busy(o op, name string) view {
	return func(s *state) { s.job(job{o, name}).busy = true }
}

// draining with a grace period that ends so long after noon.
func draining(grace time.Duration) view {
	return func(s *state) { s.jobs[job{opDrain, ""}] = &jobState{busy: true, deadline: noon.Add(grace)} }
}

func set(f func(s *state, u *unit)) view {
	return func(s *state) { f(s, s.units[0]) }
}

// beside has a sidecar run, told has its preStop hook begun, or over.
func beside(s *state) {
	s.inits = []*unit{{name: "beside", role: sidecar, cur: attemptOf(0, container.Running)}}
}

func told(s *state) { s.inits[0].announced = true }

// hooking has a job run that was given so much more than the grace period has left.
func ending(o op, name string, more time.Duration) view {
	return func(s *state) { s.jobs[job{o, name}] = &jobState{busy: true, deadline: s.deadline.Add(more)} }
}

func sandboxed(up container.State) view {
	return func(s *state) {
		s.sandbox = &unit{name: container.SandboxName, course: course{hooked: true, started: true, ready: true}}
		if up != "" {
			s.sandbox.cur = attemptOf(0, up)
		}
	}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		views  []view
		begin  []job
		cancel []job
		wake   time.Duration // from noon
		quiet  bool
		over   bool
	}{
		"a new Pod: everything at once": {
			views: []view{set(func(s *state, _ *unit) { s.bound, s.mounted, s.address = false, false, netip.Addr{} })},
			begin: []job{{opBind, ""}, {opLease, ""}, {opMount, ""}, {opImage, "web"}},
		},
		"image there, volumes not yet": {
			views: []view{withImage, set(func(s *state, _ *unit) { s.mounted = false }), busy(opMount, "")},
		},
		"all there: start":          {views: []view{withImage}, begin: []job{{opStart, "web"}}},
		"starting":                  {views: []view{withImage, busy(opStart, "web")}},
		"running: into traffic":     {views: []view{running}, begin: []job{{opAdd, ""}}},
		"serving: nothing to do":    {views: []view{serving}},
		"old container: removed":    {views: []view{serving, set(func(s *state, _ *unit) { s.old = []*attempt{{Status: container.Status{ID: "x"}}} })}, begin: []job{{opRemoveOld, "x"}}},
		"postStart before traffic":  {views: []view{running, set(func(_ *state, u *unit) { u.hooked = false })}, begin: []job{{opPostStart, "web"}}},
		"unready: out of traffic":   {views: []view{serving, set(func(_ *state, u *unit) { u.ready = false })}, begin: []job{{opRemoveTraffic, ""}}},
		"ready again, removal runs": {views: []view{serving, busy(opRemoveTraffic, ""), set(func(s *state, _ *unit) { s.serving = false })}},
		"unready while being added": {
			views:  []view{running, busy(opAdd, ""), set(func(s *state, u *unit) { s.admitted, u.ready = true, false })},
			cancel: []job{{opAdd, ""}},
		},
		"said to have ended: out of traffic and inspected": {
			views: []view{serving, set(func(_ *state, u *unit) { u.suspect, u.down = true, true })},
			begin: []job{{opRemoveTraffic, ""}, {opInspect, "web"}, {opImage, "web"}},
		},
		"to be killed, but still in traffic": {
			views: []view{serving, set(func(_ *state, u *unit) { u.kill = &killing{} })},
			begin: []job{{opRemoveTraffic, ""}},
		},
		"to be killed, out of traffic": {
			views: []view{running, set(func(_ *state, u *unit) { u.kill = &killing{} })},
			begin: []job{{opStop, "web"}},
		},
		"exited once: again at once":       {views: []view{exited}, begin: []job{{opImage, "web"}}},
		"steady: a sandbox is to stand by": {views: []view{serving, noneStands}, begin: []job{{opStandBy, ""}}},
		"not steady yet": {
			views: []view{serving, noneStands, set(func(_ *state, u *unit) { u.cur.StartedAt = noon.Add(-3 * time.Second) })},
			wake:  steady - 3*time.Second,
		},
		"what stood by has ended a moment ago": {
			views: []view{serving, set(func(s *state, _ *unit) {
				s.standby.cur.State, s.standby.cur.FinishedAt = container.Exited, noon.Add(-4*time.Second)
			})},
			wake: steady - 4*time.Second,
		},
		"unready: nothing is to stand by": {
			views:  []view{serving, noneStands, busy(opStandBy, ""), busy(opRemoveTraffic, ""), set(func(_ *state, u *unit) { u.ready = false })},
			cancel: []job{{opStandBy, ""}},
		},
		"on the network, where it may not be": {
			views: []view{serving, set(func(s *state, _ *unit) { s.standby.cur.Detached = false })},
			begin: []job{{opRemoveOld, "box"}},
		},
		"exited, a sandbox stands by: it is used": {views: []view{exited, standing, withImage}, begin: []job{{opSandbox, ""}}},
		"used: gets the network first": {
			views: []view{exited, standing, withImage, (*state).useSandbox}, begin: []job{{opReconnect, "POD"}},
		},
		"used, on the network": {
			views: []view{exited, standing, withImage, (*state).useSandbox, set(func(s *state, _ *unit) { s.sandbox.cur.Detached = false })},
			begin: []job{{opStart, "web"}},
		},
		"used, but the container runs again": {
			views: []view{serving, (*state).useSandbox, busy(opRemoveTraffic, "")}, begin: []job{{opNoSandbox, ""}},
		},
		"exited for good, a sandbox stands by": {
			views: []view{exited, standing, set(func(s *state, _ *unit) { s.pod.Spec.RestartPolicy = corev1.RestartPolicyNever })},
			begin: []job{{opStop, "POD"}},
		},
		"exited while its probe runs": {
			views: []view{exited, busy(opProbe, "web")}, begin: []job{{opImage, "web"}}, cancel: []job{{opProbe, "web"}},
		},
		"exited twice: back-off": {
			views: []view{exited, set(func(_ *state, u *unit) { u.crash = backoff{delay: backoffFirst, since: noon.Add(-5 * time.Second)} })},
			begin: []job{{opSandbox, ""}}, wake: 9 * time.Second,
		},
		"removed behind our back: no back-off": {
			views: []view{exited, set(func(_ *state, u *unit) {
				u.gone, u.crash = true, backoff{delay: backoffFirst, since: noon.Add(-5 * time.Second)}
			})},
			begin: []job{{opImage, "web"}},
		},
		"exited for good": {views: []view{exited, set(func(s *state, _ *unit) { s.pod.Spec.RestartPolicy = corev1.RestartPolicyNever })}},
		"pull failed: wait": {
			views: []view{set(func(s *state, u *unit) {
				u.wait = &waiting{reason: reasonErrImagePull, since: noon}
				*s.job(job{opImage, "web"}) = jobState{failures: 1, retry: noon.Add(10 * time.Second)}
			})},
			begin: []job{{opSandbox, ""}},
			wake:  pullBackOffAfter,
		},
		"pull failed a while ago: say so": {
			views: []view{set(func(s *state, u *unit) {
				u.wait = &waiting{reason: reasonErrImagePull, since: noon.Add(-3 * time.Second)}
				*s.job(job{opImage, "web"}) = jobState{failures: 1, retry: noon.Add(7 * time.Second)}
			})},
			begin: []job{{opSandbox, ""}, {opPullBackOff, "web"}},
			wake:  7 * time.Second,
		},
		"sandbox first": {views: []view{withImage, sandboxed("")}, begin: []job{{opStart, "POD"}}},
		"then its containers": {
			views: []view{withImage, sandboxed(container.Running)}, begin: []job{{opStart, "web"}},
		},
		"sandbox died: its containers end first": {
			views: []view{running, sandboxed(container.Exited)}, begin: []job{{opStop, "web"}},
		},
		"then there is a new one": {views: []view{exited, sandboxed(container.Exited)}, begin: []job{{opStart, "POD"}, {opImage, "web"}}},

		"deleted: drain":               {views: []view{serving, deleted}, begin: []job{{opDrain, ""}}},
		"deleted: removal comes first": {views: []view{serving, deleted, busy(opRemoveTraffic, "")}},
		"draining":                     {views: []view{serving, deleted, draining(30 * time.Second)}},
		"draining past the deadline":   {views: []view{serving, deleted, draining(0), set(func(s *state, _ *unit) { s.deadline = noon })}},
		"draining, the grace was cut":  {views: []view{serving, deleted, draining(time.Minute)}, wake: 30 * time.Second},
		"draining, and the cut one over": {
			views:  []view{serving, deleted, draining(time.Minute), set(func(s *state, _ *unit) { s.deadline = noon })},
			cancel: []job{{opDrain, ""}},
		},
		"drained: stop": {views: []view{serving, deleted, drained}, begin: []job{{opStop, "web"}}},
		"stopping":      {views: []view{serving, deleted, drained, busy(opStop, "web"), set(func(s *state, _ *unit) { s.job(job{opStop, "web"}).deadline = s.deadline })}},
		"stopping, and the grace was cut": {
			views:  []view{serving, deleted, drained, busy(opStop, "web"), set(func(s *state, _ *unit) { s.job(job{opStop, "web"}).deadline = s.deadline.Add(1) })},
			cancel: []job{{opStop, "web"}},
		},
		"drained, with a sidecar: its hook waits for nobody": {
			views: []view{serving, beside, deleted, drained}, begin: []job{{opStop, "web"}, {opPreStop, "beside"}},
		},
		"its hook is over, and it waits":          {views: []view{serving, beside, told, deleted, drained, ending(opStop, "web", 0)}},
		"the others have ended, its hook has not": {views: []view{exited, beside, told, deleted, drained, ending(opPreStop, "beside", 0)}},
		"its hook runs, and the grace was cut": {
			views:  []view{exited, beside, told, deleted, drained, ending(opPreStop, "beside", 1)},
			cancel: []job{{opPreStop, "beside"}},
		},
		"it is its turn": {views: []view{exited, beside, told, deleted, drained}, begin: []job{{opStop, "beside"}}},
		"vanished while its hook runs": {
			views: []view{exited, beside, told, deleted, drained, ending(opPreStop, "beside", 0), set(func(s *state, _ *unit) { s.vanished = true })},
			begin: []job{{opRemove, ""}}, cancel: []job{{opPreStop, "beside"}},
		},
		"stopped: remove": {views: []view{exited, deleted, drained}, begin: []job{{opRemove, ""}}},
		"stopped, held by a finalizer, end not known": {
			views: []view{exited, deleted, drained, set(func(s *state, u *unit) { s.pod.Finalizers, u.suspect = []string{"x"}, true })},
			begin: []job{{opInspect, "web"}},
		},
		"removed: volumes":            {views: []view{exited, deleted, drained, set(func(s *state, _ *unit) { s.removed = true })}, begin: []job{{opUnmount, ""}}},
		"no volumes: address":         {views: []view{exited, deleted, drained, set(func(s *state, _ *unit) { s.removed, s.unmounted = true, true })}, begin: []job{{opRelease, ""}}},
		"nothing left: object":        {views: []view{exited, deleted, drained, cleared}, begin: []job{{opDelete, ""}}},
		"object told to go":           {views: []view{exited, deleted, drained, cleared, set(func(s *state, _ *unit) { s.deleted = true })}},
		"object gone":                 {views: []view{exited, deleted, drained, cleared, set(func(s *state, _ *unit) { s.vanished = true })}, over: true},
		"deleted while pulling":       {views: []view{deleted, busy(opImage, "web")}, begin: []job{{opDrain, ""}}, cancel: []job{{opImage, "web"}}},
		"deleted while starting":      {views: []view{deleted, drained, busy(opStart, "web")}, cancel: []job{{opStart, "web"}}},
		"start was cut: look":         {views: []view{deleted, drained, set(func(s *state, _ *unit) { s.stray = true })}, begin: []job{{opSweep, ""}}},
		"vanished: out of traffic":    {views: []view{serving, set(func(s *state, _ *unit) { s.vanished = true })}, begin: []job{{opRemoveTraffic, ""}}},
		"vanished while stopping":     {views: []view{running, deleted, drained, busy(opStop, "web"), set(func(s *state, _ *unit) { s.vanished = true })}, begin: []job{{opRemove, ""}}, cancel: []job{{opStop, "web"}}},
		"skiff goes down: drain":      {views: []view{serving, set(func(s *state, _ *unit) { s.halting, s.deadline = true, noon.Add(time.Second) })}, begin: []job{{opDrain, ""}}},
		"skiff goes down: stop":       {views: []view{serving, drained, set(func(s *state, _ *unit) { s.halting = true })}, begin: []job{{opStop, "web"}}},
		"skiff goes down: how ended?": {views: []view{exited, drained, set(func(s *state, u *unit) { s.halting, u.suspect = true, true })}, begin: []job{{opInspect, "web"}}},
		"skiff goes down: done":       {views: []view{exited, drained, set(func(s *state, _ *unit) { s.halting = true })}, quiet: true},
		"skiff goes down: a finalizer holds the object": {
			views: []view{exited, deleted, drained, cleared, set(func(s *state, _ *unit) { s.deleted, s.halting = true, true })}, quiet: true,
		},
		"skiff goes down: sandbox": {
			views: []view{exited, sandboxed(container.Running), drained, set(func(s *state, _ *unit) { s.halting = true })}, begin: []job{{opStop, "POD"}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := decide(stateOf(test.views...), noon)
			var wake time.Time
			if test.wake > 0 {
				wake = noon.Add(test.wake)
			}
			if diff := cmp.Diff(test.begin, got.begin, cmp.AllowUnexported(job{})); diff != "" {
				t.Errorf("begin (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.cancel, got.cancel, cmp.AllowUnexported(job{})); diff != "" {
				t.Errorf("cancel (-want +got):\n%s", diff)
			}
			if !got.wake.Equal(wake) || got.quiet != test.quiet || got.over != test.over {
				t.Errorf("wake %s, quiet %t, over %t", got.wake, got.quiet, got.over)
			}
		})
	}
}

func drained(s *state) { s.drained, s.admitted = true, false }

func cleared(s *state) { s.removed, s.unmounted, s.released = true, true, true }

// A container after one with a postStart hook waits for the hook.
func TestContainersStartInOrderOfTheirHooks(t *testing.T) {
	t.Parallel()
	s := stateOf()
	first, second := s.pod.Spec.Containers[0], s.pod.Spec.Containers[0]
	second.Name = "second"
	first.Lifecycle = &corev1.Lifecycle{PostStart: &corev1.LifecycleHandler{}}
	s.pod.Spec.Containers = []corev1.Container{first, second}
	s.units = []*unit{{name: "web"}, {name: "second"}}
	sandboxed(container.Running)(s)
	for _, u := range s.units {
		u.image = &container.Image{}
	}
	if got := decide(s, noon).begin; !slices.Equal(got, []job{{opStart, "web"}}) {
		t.Errorf("both are to be started: %v", got)
	}
	s.units[0].cur, s.units[0].hooked = attemptOf(0, container.Running), true
	if got := decide(s, noon).begin; !slices.Contains(got, job{opStart, "second"}) {
		t.Errorf("the second one is not started after the hook: %v", got)
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	var b backoff
	now := noon
	var delays []time.Duration
	for range 8 {
		now = b.until(now)
		b = b.next(now, now)
		delays = append(delays, b.delay/time.Second)
	}
	if want := []time.Duration{10, 20, 40, 80, 160, 300, 300, 300}; !slices.Equal(delays, want) {
		t.Errorf("delays are %v, want %v", delays, want)
	}
	failed := now.Add(10*time.Minute + time.Second)
	if at := b.until(failed); !at.Equal(failed) {
		t.Error("not forgotten after ten minutes")
	}
	if b = b.next(failed, failed); b.delay != backoffFirst {
		t.Errorf("begins anew with %s", b.delay)
	}
}
