package node

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	corelisters "k8s.io/client-go/listers/core/v1"

	"skiff/orchestrator/resource"
	"skiff/runtime/container"
)

// adopt takes over what an earlier run has left: the containers of Pods that
// exist go on, everything else goes.
func (w *Worker) adopt(ctx context.Context) error {
	all, err := corelisters.NewPodLister(w.informer.GetIndexer()).List(labels.Everything())
	if err != nil {
		return fmt.Errorf("list Pods: %w", err)
	}
	found, err := w.list(ctx)
	if err != nil {
		return nil // ctx has ended
	}
	pods := map[types.UID]*corev1.Pod{}
	for _, pod := range all {
		if pod.Spec.NodeName == "" || pod.Spec.NodeName == resource.NodeName {
			pods[pod.UID] = pod
		}
	}
	w.removeLeftovers(pods)

	var states []*state
	for _, pod := range pods {
		s := newState(pod)
		s.adopt(found)
		if a := s.knownAddress(); a.IsValid() && !pod.Spec.HostNetwork {
			if err := w.addresses.Claim(string(pod.UID), a); err != nil {
				w.Log.Warn("a Pod gets another address", "pod", pod.Namespace+"/"+pod.Name, "error", err)
			} else {
				s.address = a
			}
		}
		states = append(states, s)
	}
	// Only when all addresses are claimed may a Pod lease one, and only when all
	// that run have their places may another get one.
	slices.SortFunc(states, func(a, b *state) int { return before(a.pod, b.pod) })
	for _, s := range states {
		if s.settled() {
			w.places.held[s.pod.UID] = s.pod
		}
	}
	for _, s := range states {
		if !s.settled() {
			w.place(ctx, s)
		}
		w.start(ctx, s)
	}
	w.removeOrphans(ctx, found)
	w.lookForOrphanVolumes(ctx)
	return nil
}

// settled says whether the Pod was on the node in an earlier run.
func (s *state) settled() bool {
	return !over(s.pod.Status.Phase) && (s.bound || len(s.containers()) > 0)
}

// list asks until the engine answers or ctx ends.
func (w *Worker) list(ctx context.Context) (list []container.Status, err error) {
	err = w.insist(ctx, "the engine does not list its containers", func() error {
		list, err = w.Engine.List(ctx)
		return err
	})
	return list, err
}

// adopt makes the state of a Pod from the containers that an earlier run left
// and from what that run reported.
func (s *state) adopt(found []container.Status) {
	s.add(found)
	st := &s.pod.Status
	for _, statuses := range [][]corev1.ContainerStatus{st.InitContainerStatuses, st.ContainerStatuses, st.EphemeralContainerStatuses} {
		for i := range statuses {
			if u := s.unit(statuses[i].Name); u != nil {
				s.recall(u, &statuses[i])
			}
		}
	}
	s.strandAdopted()
	s.admitted = true // by the earlier run, perhaps: a gateway goes on as that left it
	s.markStale()
}

// add enters containers of the Pod that the engine has. The newest attempt of
// each is the current one.
func (s *state) add(found []container.Status) {
	own := slices.DeleteFunc(slices.Clone(found), func(st container.Status) bool { return st.Pod.UID != string(s.pod.UID) })
	slices.SortFunc(own, func(a, b container.Status) int { return cmp.Compare(a.Attempt, b.Attempt) })
	s.meetSandbox(own)
	for _, st := range own {
		s.round = max(s.round, st.Round)
		u := s.unit(st.Name)
		if u != nil && u.spare != nil && u.spare.ID == st.ID && st.State != container.Created {
			u.spare = nil // a start that was cut short has come through
		}
		switch {
		case slices.Contains(s.containers(), st.ID):
		case u == nil || st.State == container.Created || u == s.standby && !st.Detached || (u.cur != nil && u.cur.Attempt >= st.Attempt):
			s.old = append(s.old, newAttempt(st))
		default:
			s.succeed(u, newAttempt(st))
			u.next = st.Attempt + 1
			// postStart has run, or would be run twice.
			u.hooked = true
			u.expectProbes(s.spec(u.name))
		}
	}
}

// recall fills in what only the API remembers: that the container which still
// runs had passed its probes, and attempts whose containers are gone.
func (s *state) recall(u *unit, cs *corev1.ContainerStatus) {
	switch {
	case u.running() && u.cur.ID == cs.ContainerID:
		if !u.cur.newerThan(cs.State.Running) {
			u.started = u.started || isTrue(cs.Started)
			u.ready = u.ready || cs.Ready
		}
	case cs.ContainerID != "" && (u.cur == nil || u.cur.Attempt < int(cs.RestartCount)):
		s.succeed(u, lostAttempt(cs))
		u.gone = true
		u.next = u.cur.Attempt + 1
		u.cur.Round = s.round
		if w := cs.State.Waiting; w != nil && w.Reason != reasonCrashLoop && s.allEnded() {
			u.cur.Round-- // it was to be restarted with all others
		}
		if s.sandbox != nil && s.sandbox.cur != nil { // nothing tells that it was in another
			u.cur.Sandbox = s.sandbox.cur.ID
		}
	}
	if u.cur != nil && u.cur.ID == cs.ContainerID {
		u.cur.User = cs.User
	}
	if u.cur != nil {
		s.recallEnd(u, cs)
	}
	switch t := cs.LastTerminationState.Terminated; {
	case t == nil || u.cur == nil || u.cur.ID == t.ContainerID:
	case u.last == nil:
		u.last = fromTerminated(t, u.cur.Attempt-1)
	case u.last.ID == t.ContainerID: // whatever somebody has made of it since
		u.last.end(t)
	}
}

// newerThan says whether what runs was started again since it was reported to run:
// it has passed no probe yet. Reported are whole seconds.
func (a *attempt) newerThan(told *corev1.ContainerStateRunning) bool {
	return told != nil && !a.FinishedAt.IsZero() && !a.StartedAt.Before(told.StartedAt.Add(time.Second))
}

// recallEnd takes over what was reported of the container's end. Where nothing
// was, its last words are still to be read. One that is over for good has ended as
// it was reported, whatever somebody has done to it since.
func (s *state) recallEnd(u *unit, cs *corev1.ContainerStatus) {
	found := u.cur
	for _, t := range []*corev1.ContainerStateTerminated{cs.State.Terminated, cs.LastTerminationState.Terminated} {
		if t == nil || t.ContainerID != found.ID {
			continue
		}
		told := *found
		told.end(t)
		if u.cur = &told; over(s.pod.Status.Phase) || !s.restarts(u) {
			told.Revived = found.State == container.Running
			return
		}
		if u.cur = found; u.ended() {
			found.Reason, found.Message = t.Reason, t.Message
		}
		return
	}
	u.suspect = u.suspect || u.ended() && found.Reason == ""
}

// lostAttempt is a container that the engine has no more.
func lostAttempt(cs *corev1.ContainerStatus) *attempt {
	t := cs.State.Terminated
	if t == nil && cs.State.Waiting != nil {
		t = cs.LastTerminationState.Terminated
	}
	if t == nil {
		t = &corev1.ContainerStateTerminated{ExitCode: 137, Reason: reasonStatusUnknown, ContainerID: cs.ContainerID}
		t.Message = "the container was removed from the engine while skiff was down"
	}
	a := fromTerminated(t, int(cs.RestartCount))
	a.Image, a.ImageID = cs.Image, cs.ImageID
	return a
}

func fromTerminated(t *corev1.ContainerStateTerminated, number int) *attempt {
	a := &attempt{Status: container.Status{ID: t.ContainerID, Attempt: number}}
	a.end(t)
	return a
}

// end has the attempt have ended as the API tells.
func (a *attempt) end(t *corev1.ContainerStateTerminated) {
	a.State, a.ExitCode = container.Exited, int(t.ExitCode)
	a.StartedAt, a.FinishedAt = t.StartedAt.Time, t.FinishedAt.Time
	a.Reason, a.Message = t.Reason, t.Message
}

// knownAddress is the address that the Pod had in an earlier run.
func (s *state) knownAddress() netip.Addr {
	for _, u := range s.all() {
		if u.cur != nil && u.cur.Address.IsValid() {
			return u.cur.Address
		}
	}
	a, err := netip.ParseAddr(s.pod.Status.PodIP)
	if err != nil {
		return netip.Addr{}
	}
	return a
}
