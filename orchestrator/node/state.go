package node

import (
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/orchestrator/resource"
	"skiff/runtime/container"
)

// state is all that is known about one Pod. It is owned by the Pod's goroutine;
// decide and podStatus read it and nothing else.
type state struct {
	pod      *corev1.Pod
	vanished bool      // the API has no such Pod any more
	halting  bool      // skiff goes down: the containers end, the Pod stays
	outage   bool      // the engine does not answer
	deadline time.Time // end of the grace period of a Pod that is leaving

	hold       *hold      // why the Pod has no place on the node yet
	bound      bool       // spec.nodeName is set in the API
	address    netip.Addr // leased for as long as the Pod exists
	mounted    bool       // the volumes are there
	news       bool       // what the volumes show has changed since it was last read
	outdated   bool       // the files of a volume may not be what they should be
	measured   time.Time  // when the volumes with a limit were measured last
	unmeasured bool       // they cannot be
	admitted   bool       // requests may reach the Pod
	serving    bool       // Traffic.Add has returned: the Pod may be called Ready
	drained    bool       // Traffic.Drain has returned: no request reaches it again
	stray      bool       // a creation was cut short: the engine may have what we do not know
	swept      bool       // it was asked for what we do not know
	removed    bool       // no container is left, but for remnant
	remnant    string     // the ID of a sandbox that is to be removed later
	unmounted  bool       // no volume is left
	released   bool       // the address may be another's
	deleted    bool       // the API was told that the Pod is gone

	volumes map[string]container.Mount // what a container mounts to see a volume
	renew   time.Time                  // when a token in a volume is to be replaced; zero: never

	round   int      // how often all containers were restarted together
	failure *failure // the Pod may not go on, however its containers are

	sandbox    *unit // nil where the one container owns the namespace
	standby    *unit // the sandbox that is to come there, off the network; nil where there is one
	inits      []*unit
	units      []*unit
	ephemerals []*unit
	old        []*attempt // containers that nobody needs any more

	jobs map[job]*jobState

	reported        corev1.PodStatus // what the API knows
	reportedVersion string
}

// failure is why a Pod has failed as a whole.
type failure struct {
	reason, message string
	rejected        bool // the node never took the Pod: nothing is to be said of containers
	hasty           bool // its containers get evictionGrace and not what the Pod grants
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
	opExpire        op = "fail for its deadline"
	opLease         op = "lease address"
	opMount         op = "prepare volumes"
	opRefresh       op = "refresh volumes"
	opMeasure       op = "measure volumes"
	opSandbox       op = "have a sandbox"
	opNoSandbox     op = "do without a sandbox"
	opStandBy       op = "have a sandbox stand by"
	opImage         op = "provide image"
	opPullBackOff   op = "announce pull back-off"
	opStart         op = "start"
	opSpare         op = "make the next container ahead"
	opPostStart     op = "run postStart"
	opProbe         op = "probe"
	opInspect       op = "inspect"
	opReconnect     op = "reconnect"
	opPreStop       op = "run preStop"
	opStop          op = "stop"
	opQuell         op = "stop again"
	opRound         op = "begin the next round"
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
	again     bool // at once, should the running job fail: what it waits for may have come meanwhile
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
	s.inits, s.units = unitsOf(&pod.Spec)
	if box := (&unit{name: container.SandboxName}); s.needsSandbox() {
		s.sandbox = box
	} else {
		s.standby = box
	}
	s.meetEphemerals()
	if pod.Status.Phase == corev1.PodFailed && pod.Status.Reason != "" {
		s.failure = &failure{reason: pod.Status.Reason, message: pod.Status.Message, rejected: len(pod.Status.ContainerStatuses) == 0}
	}
	return s
}

// meetEphemerals takes note of the ephemeral containers that were added.
func (s *state) meetEphemerals() {
	for i := range s.pod.Spec.EphemeralContainers {
		if name := s.pod.Spec.EphemeralContainers[i].Name; s.unit(name) == nil {
			s.ephemerals = append(s.ephemerals, &unit{name: name, role: ephemeral})
		}
	}
}

// leaving says whether the Pod's containers must end in good order.
func (s *state) leaving() bool { return s.halting || s.pod.DeletionTimestamp != nil }

// unit finds a container, or the sandbox, by name.
func (s *state) unit(name string) *unit {
	for _, u := range s.all() {
		if u.name == name {
			return u
		}
	}
	return nil
}

// members lists the containers, those first that are started first.
func (s *state) members() []*unit { return slices.Concat(s.inits, s.units, s.ephemerals) }

// all lists the containers and the sandbox, also one that stands by.
func (s *state) all() []*unit { return append([]*unit{s.box()}, s.members()...) }

// box is the sandbox, whether it is in use or stands by.
func (s *state) box() *unit {
	if s.sandbox != nil {
		return s.sandbox
	}
	return s.standby
}

// spec is what the Pod says of one of its containers; nil for the sandbox.
func (s *state) spec(name string) *corev1.Container {
	if c := s.ephemeral(name); c != nil {
		return (*corev1.Container)(&c.EphemeralContainerCommon)
	}
	return containerOf(s.pod, name)
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

// ready says whether the Pod should get traffic.
func (s *state) ready() bool {
	if s.vanished || s.leaving() || s.failure != nil {
		return false
	}
	for _, u := range s.all() {
		if u != s.standby && u.role != initial && u.role != ephemeral && !u.serves() {
			return false
		}
	}
	return s.shutGates() == ""
}

// restarts says whether a container that has ended gets another attempt.
func (s *state) restarts(u *unit) bool {
	switch {
	case u.name == container.SandboxName: // as long as the Pod's work is not over
		return true
	case s.failure != nil:
		return false
	case u.role == ephemeral:
		return false
	case s.bygone(u):
		return true
	case u.role == sidecar && s.finished():
		return false
	case u.role == initial:
		return s.outlived(u) || (u.cur.ExitCode != 0 || s.endsRound(u)) && s.wanted(u)
	}
	return s.wanted(u)
}

// wanted says whether a container that has ended is to run again, as far as its
// restart policy says.
func (s *state) wanted(u *unit) bool {
	return resource.Restarts(s.spec(u.name), s.pod.Spec.RestartPolicy, int32(u.cur.ExitCode))
}

// finished says whether the Pod's work is over, one way or the other.
func (s *state) finished() bool {
	over, _ := s.workOver()
	return s.failure != nil || over && !s.restartingAll()
}

// workOver says whether the containers have done what they are there for, or
// cannot, and since when.
func (s *state) workOver() (over bool, since time.Time) {
	if u := s.failedInit(); u != nil {
		return true, u.cur.FinishedAt
	}
	for _, u := range s.units {
		if !u.ended() || u.suspect || s.bygone(u) || s.wanted(u) {
			return false, time.Time{}
		}
		if u.cur.FinishedAt.After(since) {
			since = u.cur.FinishedAt
		}
	}
	return true, since
}

// stopped says whether no container of the Pod is running.
func (s *state) stopped() bool {
	for _, u := range s.members() {
		if u.running() {
			return false
		}
	}
	return true
}
