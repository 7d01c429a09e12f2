package node

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/orchestrator/resource"
	"skiff/runtime/container"
)

// unit is one container of a Pod through all its attempts.
type unit struct {
	name string
	role role
	next int      // number of the next attempt
	cur  *attempt // newest, running or not
	last *attempt // the one before

	spare *attempt // the next, made ahead and not started

	image *container.Image // for the next attempt, looked up anew for each
	pull  backoff
	crash backoff
	wait  *waiting // why there is no next attempt yet, if that is worth saying
	kill  *killing // why the running one must end
	early []string // IDs of containers that died while the next attempt was being started

	course // of the current attempt
}

// course is how far an attempt has come and what has happened to it.
type course struct {
	hooked    bool // postStart is through
	probed    bool // its probes have been begun
	announced bool // its event and its preStop hook have been begun
	started   bool // startup probe passed, or there is none
	ready     bool // readiness probe passes, or there is none
	suspect   bool // something happened to the container: inspect it
	outdated  bool // something more has happened while it was inspected: what that says is not the last
	down      bool // it is said to have ended
	gone      bool // it was removed behind our back
	excused   bool // its end is somebody else's doing, and no crash
	stranded  bool // whoever owned the network that it joined has ended
	disturbed bool // the attempt before was started again at its side: it may have found its port taken

	due time.Time // by when it must have ended whose preStop hook does not wait for its turn
}

// expectProbes begins anew to ask what probes say; spec is nil for the sandbox.
func (c *course) expectProbes(spec *corev1.Container) {
	c.started = spec == nil || spec.StartupProbe == nil
	c.ready = spec == nil || spec.ReadinessProbe == nil
}

// role is what a container is there for.
type role int

const (
	regular   role = iota // does the Pod's work
	initial               // prepares it, and ends
	sidecar               // begins before the regular ones and runs beside them
	ephemeral             // looks at the others, and is nobody's business
)

// attempt is one container. What the engine does not say is added.
type attempt struct {
	container.Status
	Reason  string
	Message string
	User    *corev1.ContainerUser
	Revived bool // somebody else has started it again after its end, and it may run on
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

func (u *unit) running() bool { return u.cur != nil && u.cur.State == container.Running }

func (u *unit) ended() bool { return u.cur != nil && u.cur.State == container.Exited }

// failedToStart says whether the attempt never ran.
func (a *attempt) failedToStart() bool {
	return a.State == container.Exited && a.Reason == reasonStartError
}

// serves says whether a container does what its Pod is there for.
func (u *unit) serves() bool {
	return u.running() && !u.down && !u.cur.Paused && !u.cur.Detached && !u.stranded && u.kill == nil && u.hooked && u.started && u.ready
}

// unitsOf lists the containers of a Pod's spec by what they are there for.
func unitsOf(spec *corev1.PodSpec) (inits, units []*unit) {
	for i := range spec.InitContainers {
		u := &unit{name: spec.InitContainers[i].Name, role: initial}
		if resource.IsSidecar(spec.InitContainers[i]) {
			u.role = sidecar
		}
		inits = append(inits, u)
	}
	for i := range spec.Containers {
		units = append(units, &unit{name: spec.Containers[i].Name})
	}
	return inits, units
}
