package node

import (
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// vanish: the API has forgotten the Pod.
func (p *pod) vanish() { p.s.vanished = true }

// halt: skiff goes down.
func (p *pod) halt() {
	s := p.s
	if s.pod.DeletionTimestamp == nil && !s.halting {
		s.deadline = time.Now().Add(time.Duration(grace(s.pod)) * time.Second)
	}
	s.halting = true
}

// update takes over what the API says of the Pod now.
func (p *pod) update(pod *corev1.Pod) {
	s := p.s
	if newer(s.pod.ResourceVersion, pod.ResourceVersion) {
		return
	}
	before := s.pod
	s.pod = pod
	if showsItself(pod) && !(maps.Equal(before.Labels, pod.Labels) && maps.Equal(before.Annotations, pod.Annotations)) {
		p.outdate()
	}
	s.bound = s.bound || pod.Spec.NodeName != ""
	if newer(pod.ResourceVersion, s.reportedVersion) && !s.busy(opReport, "") {
		s.reported = ownStatus(pod.Status)
	}
	if period := pod.DeletionGracePeriodSeconds; pod.DeletionTimestamp != nil && period != nil {
		was := before.DeletionGracePeriodSeconds
		if before.DeletionTimestamp == nil || was == nil || *period < *was {
			s.deadline = time.Now().Add(time.Duration(*period) * time.Second)
		}
	}
	s.meetEphemerals()
	s.markStale()
}

// markStale finds the running containers that are no longer what the Pod asks
// for.
func (s *state) markStale() {
	for _, u := range s.members() {
		if (u.role == regular || u.role == sidecar) && u.running() && u.kill == nil && u.cur.Hash != hash(s.spec(u.name)) {
			u.kill = &killing{
				message: "Container " + u.name + " definition changed, will be restarted",
				grace:   time.Duration(grace(s.pod)) * time.Second,
			}
		}
	}
}
