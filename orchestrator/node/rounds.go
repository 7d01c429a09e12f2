package node

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"skiff/orchestrator/resource"
)

// A container that ends as a rule with the action RestartAllContainers says has
// all containers of its Pod restarted in place: the others are ended without
// preStop and with the least grace, and then the Pod begins anew, its init
// containers first, whatever the restart policies say. Its address, sandbox and
// volumes stay, and so do ephemeral containers.
//
// Each container carries the number of the round that it was made in. That tells
// those which are yet to be replaced from those which have ended since, also to a
// skiff that was killed in between. As in the kubelet, which begins such a round
// like a new Pod, there is no back-off before it.

// bygone says whether a container is of an earlier round.
func (s *state) bygone(u *unit) bool {
	return u.role != ephemeral && u.cur != nil && u.cur.Round != s.round
}

// restartingAll says whether this round must end.
func (s *state) restartingAll() bool {
	return s.failure == nil && slices.ContainsFunc(s.rounded(), s.endsRound)
}

// endsRound says whether a container's end asks for a restart of all. That of a
// sidecar does not when the Pod's work was over before.
func (s *state) endsRound(u *unit) bool {
	if !u.ended() || u.suspect || s.bygone(u) || !resource.RestartsAll(s.spec(u.name), int32(u.cur.ExitCode)) {
		return false
	}
	over, at := s.workOver()
	return u.role != sidecar || !over || u.cur.FinishedAt.Before(at)
}

// allEnded says whether, as far as the API knows, no round is about to end: what
// waits then does so for its turn in the next.
func (s *state) allEnded() bool {
	told := condition(s.pod.Status.Conditions, corev1.AllContainersRestarting)
	return told != nil && told.Status == corev1.ConditionFalse
}

// rounded lists the containers that are restarted together.
func (s *state) rounded() []*unit { return slices.Concat(s.inits, s.units) }

// mustGo says whether a container may not run on, since all are restarted.
func (s *state) mustGo(u *unit) bool {
	return s.bygone(u) || u.role != ephemeral && s.restartingAll()
}

// endRound begins the next round when nothing is left of this one and the API
// knows of it, unless that does not take what it is told.
func (p *plan) endRound() {
	s := p.s
	for _, u := range s.rounded() {
		if u.running() || u.suspect || s.busy(opStart, u.name) || s.busy(opStop, u.name) {
			return
		}
	}
	told := condition(s.reported.Conditions, corev1.AllContainersRestarting)
	report := s.jobs[job{opReport, ""}]
	if told != nil && told.Status == corev1.ConditionTrue || report != nil && report.failures > 0 {
		p.want(opRound, "")
	}
}

func (p *pod) nextRound() task {
	return func(context.Context) (func(), error) { return func() { p.s.round++ }, nil }
}

// restartingCondition says whether all containers are being ended to be restarted.
func restartingCondition(s *state, phase corev1.PodPhase) corev1.PodCondition {
	c := corev1.PodCondition{Type: corev1.AllContainersRestarting, Status: corev1.ConditionFalse}
	switch {
	case phase == corev1.PodSucceeded:
		c.Reason = "PodCompleted"
	case phase == corev1.PodFailed:
		c.Reason = "PodFailed"
	case s.restartingAll():
		c.Status, c.Reason = corev1.ConditionTrue, "RestartAllContainersStarted"
		c.Message = "container exited with restart policy rule"
	}
	return c
}
