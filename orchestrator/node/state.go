package node

import (
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/orchestrator/scheduling"
	"skiff/runtime/container"
)

// state is all that is known about one Pod. It is owned by the Pod's goroutine;
// decide and podStatus read it and nothing else.
type state struct {
	pod      *corev1.Pod
	vanished bool      // the API has no such Pod any more
	halting  bool      // skiff goes down: the containers end, the Pod stays
	deadline time.Time // end of the grace period of a Pod that is leaving

	hold      *hold                 // why the Pod has no place on the node yet
	rejected  *scheduling.Rejection // why the node did not take it
	bound     bool                  // spec.nodeName is set in the API
	address   netip.Addr            // leased for as long as the Pod exists
	mounted   bool                  // the volumes are there
	admitted  bool                  // requests may reach the Pod
	serving   bool                  // Traffic.Add has returned: the Pod may be called Ready
	drained   bool                  // Traffic.Drain has returned: no request reaches it again
	stray     bool                  // a creation was cut short: the engine may have what we do not know
	swept     bool                  // it was asked for what we do not know
	removed   bool                  // no container is left
	unmounted bool                  // no volume is left
	released  bool                  // the address may be another's
	deleted   bool                  // the API was told that the Pod is gone

	sandbox *unit // nil where the one container owns the namespace
	units   []*unit
	old     []string // containers that nobody needs any more

	jobs map[job]*jobState

	reported        corev1.PodStatus // what the API knows
	reportedVersion string
}

// unit is one container of a Pod through all its attempts.
type unit struct {
	name string
	next int      // number of the next attempt
	cur  *attempt // newest, running or not
	last *attempt // the one before

	image *container.Image // for the next attempt, looked up anew for each
	pull  backoff
	crash backoff
	wait  *waiting // why there is no next attempt yet, if that is worth saying
	kill  *killing // why the running one must end
	early string   // ID of a container that died before its start was reported

	hooked    bool // postStart is through
	probed    bool // its probes have been begun
	announced bool // preStop and its event are through
	started   bool // startup probe passed, or there is none
	ready     bool // readiness probe passes, or there is none
	suspect   bool // something happened to the container: inspect it
	down      bool // it is said to have ended
	gone      bool // it was removed behind our back
}

// attempt is one container. What the engine does not say is added.
type attempt struct {
	container.Status
	Reason  string
	Message string
}

// waiting is a reason, as the kubelet calls it, and its explanation.
type waiting struct {
	reason, message string
	since           time.Time
}

// killing says why a container must end although its Pod stays.
type killing struct {
	message string // of the event
	grace   time.Duration
}

// op is a kind of work, job the work on one container (or on the whole Pod
// where the name is empty). At most one of each job runs at a time.
type op string

type job struct {
	op   op
	name string
}

const (
	opBind          op = "bind"
	opLease         op = "lease address"
	opMount         op = "prepare volumes"
	opImage         op = "provide image"
	opPullBackOff   op = "announce pull back-off"
	opStart         op = "start"
	opPostStart     op = "run postStart"
	opProbe         op = "probe"
	opInspect       op = "inspect"
	opStop          op = "stop"
	opRemoveOld     op = "remove old container"
	opAdd           op = "add to traffic"
	opRemoveTraffic op = "remove from traffic"
	opDrain         op = "drain"
	opSweep         op = "look for strays"
	opRemove        op = "remove containers"
	opUnmount       op = "remove volumes"
	opRelease       op = "release address"
	opDelete        op = "delete object"
	opReport        op = "report status"
)

// jobState says whether a job runs and when it may be tried again.
type jobState struct {
	busy      bool
	cancelled bool
	cancel    func()
	deadline  time.Time // that the running job was given
	failures  int
	retry     time.Time
}

func newState(pod *corev1.Pod) *state {
	s := &state{
		pod:             pod,
		bound:           pod.Spec.NodeName != "",
		jobs:            map[job]*jobState{},
		reported:        ownStatus(pod.Status),
		reportedVersion: pod.ResourceVersion,
	}
	if pod.DeletionTimestamp != nil {
		s.deadline = pod.DeletionTimestamp.Time
	}
	if over(pod.Status.Phase) && len(pod.Status.ContainerStatuses) == 0 {
		s.rejected = &scheduling.Rejection{Reason: pod.Status.Reason, Message: pod.Status.Message}
	}
	for _, c := range pod.Spec.Containers {
		s.units = append(s.units, &unit{name: c.Name})
	}
	if len(s.units) > 1 {
		s.sandbox = &unit{name: container.SandboxName}
	}
	return s
}

// leaving says whether the Pod's containers must end in good order.
func (s *state) leaving() bool { return s.halting || s.pod.DeletionTimestamp != nil }

// unit finds a container, or the sandbox, by name.
func (s *state) unit(name string) *unit {
	if s.sandbox != nil && name == container.SandboxName {
		return s.sandbox
	}
	for _, u := range s.units {
		if u.name == name {
			return u
		}
	}
	return nil
}

// all lists the containers and the sandbox, if there is one.
func (s *state) all() []*unit {
	if s.sandbox == nil {
		return s.units
	}
	return append([]*unit{s.sandbox}, s.units...)
}

// spec is what the Pod says of one of its containers; nil for the sandbox.
func (s *state) spec(name string) *corev1.Container {
	for i := range s.pod.Spec.Containers {
		if s.pod.Spec.Containers[i].Name == name {
			return &s.pod.Spec.Containers[i]
		}
	}
	return nil
}

// job finds what is known of a job.
func (s *state) job(j job) *jobState {
	js := s.jobs[j]
	if js == nil {
		js = &jobState{}
		s.jobs[j] = js
	}
	return js
}

func (s *state) busy(o op, name string) bool {
	js := s.jobs[job{o, name}]
	return js != nil && js.busy
}

func (u *unit) running() bool { return u.cur != nil && u.cur.State == container.Running }

func (u *unit) ended() bool { return u.cur != nil && u.cur.State == container.Exited }

// serves says whether a container does what its Pod is there for.
func (u *unit) serves() bool {
	return u.running() && !u.down && u.kill == nil && u.hooked && u.started && u.ready
}

// ready says whether the Pod should get traffic.
func (s *state) ready() bool {
	if s.vanished || s.leaving() {
		return false
	}
	for _, u := range s.all() {
		if !u.serves() {
			return false
		}
	}
	return s.gatesPass()
}

func (s *state) gatesPass() bool {
	for _, gate := range s.pod.Spec.ReadinessGates {
		c := condition(s.pod.Status.Conditions, gate.ConditionType)
		if c == nil || c.Status != corev1.ConditionTrue {
			return false
		}
	}
	return true
}

// restarts says whether the Pod's policy gives a container that has ended
// another attempt.
func (s *state) restarts(u *unit) bool {
	switch s.pod.Spec.RestartPolicy {
	case corev1.RestartPolicyNever:
		return false
	case corev1.RestartPolicyOnFailure:
		return u.cur.ExitCode != 0
	}
	return true
}

// finished says whether every container has ended for good, or none will ever
// begin.
func (s *state) finished() bool {
	if s.rejected != nil {
		return true
	}
	for _, u := range s.units {
		if !u.ended() || u.suspect || s.restarts(u) {
			return false
		}
	}
	return true
}
