package node

import (
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubectl/pkg/util/qos"

	"skiff/runtime/container"
)

// podStatus is what the API should say of a Pod. Only the conditions that the
// kubelet owns are in it; their times are carried over from what was reported
// before.
func podStatus(s *state, host netip.Addr, now time.Time) corev1.PodStatus {
	st := corev1.PodStatus{
		ObservedGeneration: s.pod.Generation,
		QOSClass:           s.pod.Status.QOSClass,
		StartTime:          s.reported.StartTime,
	}
	if st.QOSClass == "" {
		st.QOSClass = qos.GetPodQOS(s.pod)
	}
	if s.hold != nil {
		return heldStatus(s, st, now)
	}
	if st.StartTime == nil {
		start := second(now)
		st.StartTime = &start
	}
	if host.IsValid() {
		st.HostIP = host.String()
		st.HostIPs = []corev1.HostIP{{IP: st.HostIP}}
	}
	if s.networked() {
		st.PodIP = s.address.String()
		st.PodIPs = []corev1.PodIP{{IP: st.PodIP}}
	}
	if s.failure == nil || !s.failure.rejected {
		describeContainers(s, &st, now)
	}
	st.Phase = phase(s, st.ContainerStatuses)
	if s.failure != nil {
		st.Reason, st.Message = s.failure.reason, s.failure.message
	}
	st.Conditions = conditions(s, st, now)
	return st
}

func describeContainers(s *state, st *corev1.PodStatus, now time.Time) {
	for _, u := range s.inits {
		st.InitContainerStatuses = append(st.InitContainerStatuses, initStatus(s, u, now))
	}
	for _, u := range s.units {
		st.ContainerStatuses = append(st.ContainerStatuses, containerStatus(s, u, now))
	}
	for _, u := range s.ephemerals {
		cs := containerStatus(s, u, now)
		cs.Started, cs.Ready = nil, false
		st.EphemeralContainerStatuses = append(st.EphemeralContainerStatuses, cs)
	}
}

// initStatus describes an init container. One that does its work and ends is
// ready when it has.
func initStatus(s *state, u *unit, now time.Time) corev1.ContainerStatus {
	cs := containerStatus(s, u, now)
	if u.role == initial {
		cs.Ready = s.through(u)
	}
	return cs
}

// networked says whether the Pod's address is in use, or was: it is told from
// the first container on and stays until the Pod is gone.
func (s *state) networked() bool {
	if !s.address.IsValid() {
		return false
	}
	if s.sandbox != nil {
		return s.sandbox.cur != nil || s.reported.PodIP != ""
	}
	return s.onTheHost(nil) && s.mounted || s.units[0].cur != nil || s.reported.PodIP != ""
}

// containerStatus describes one container.
func containerStatus(s *state, u *unit, now time.Time) corev1.ContainerStatus {
	cs := corev1.ContainerStatus{Name: u.name, Image: s.spec(u.name).Image}
	started := false
	if u.cur != nil {
		cs.RestartCount = int32(u.cur.Attempt)
		cs.ContainerID = u.cur.ID
		cs.ImageID = u.cur.ImageID
		if u.cur.Image != "" {
			cs.Image = u.cur.Image
		}
		started = u.running() && u.hooked && u.started
		cs.AllocatedResources = s.spec(u.name).Resources.Requests
		cs.Resources = s.spec(u.name).Resources.DeepCopy()
		cs.User = u.cur.User
		cs.VolumeMounts = mountStatuses(s.spec(u.name).VolumeMounts)
	}
	cs.Started = &started
	cs.Ready = u.serves() && !s.withheld(u)
	if u.last != nil {
		cs.LastTerminationState.Terminated = terminated(u.last)
	}
	switch w := waitingState(s, u, now); {
	case s.failure != nil && u.cur == nil && u.role == regular && s.stopped() && s.initialized():
		cs.State.Terminated = &corev1.ContainerStateTerminated{
			ExitCode: 137, Reason: reasonStatusUnknown, Message: "The container could not be located when the pod was terminated",
		}
	case w != nil:
		cs.State.Waiting = w
		if u.ended() {
			cs.LastTerminationState.Terminated = terminated(u.cur)
		}
	case u.running():
		cs.State.Running = &corev1.ContainerStateRunning{StartedAt: second(u.cur.StartedAt)}
	default:
		cs.State.Terminated = terminated(u.cur)
	}
	return cs
}

// mountStatuses say how a container sees its volumes. Whether one is read-only
// all the way down is left out where that was for the engine to decide.
func mountStatuses(mounts []corev1.VolumeMount) []corev1.VolumeMountStatus {
	var out []corev1.VolumeMountStatus
	for _, m := range mounts {
		st := corev1.VolumeMountStatus{Name: m.Name, MountPath: m.MountPath, ReadOnly: m.ReadOnly}
		switch {
		case !m.ReadOnly:
		case m.RecursiveReadOnly == nil:
			disabled := corev1.RecursiveReadOnlyDisabled
			st.RecursiveReadOnly = &disabled
		case *m.RecursiveReadOnly != corev1.RecursiveReadOnlyIfPossible:
			st.RecursiveReadOnly = m.RecursiveReadOnly
		}
		out = append(out, st)
	}
	return out
}

// withheld says whether a container is not called ready yet because it would
// complete a Pod that requests do not reach. One that was called so stays so.
func (s *state) withheld(u *unit) bool {
	if u.role != regular || s.serving || !s.ready() {
		return false
	}
	return !slices.ContainsFunc(s.reported.ContainerStatuses, func(cs corev1.ContainerStatus) bool {
		return cs.Ready && cs.ContainerID == u.cur.ID
	})
}

// waitingState says why a container that should run does not; nil if it runs,
// or has ended and nothing keeps the next attempt.
func waitingState(s *state, u *unit, now time.Time) *corev1.ContainerStateWaiting {
	creating := &corev1.ContainerStateWaiting{Reason: reasonContainerCreating}
	if len(s.inits) > 0 && u.role != ephemeral {
		creating.Reason = reasonPodInitializing
	}
	if u.role == regular && (u.cur == nil || s.bygone(u)) && !s.initialized() {
		return creating // what is wrong with its image, say, does not matter yet
	}
	if u.running() {
		if u.hooked {
			return nil
		}
		return creating // as in the kubelet, postStart is part of the start
	}
	if u.ended() && (!s.restarts(u) && !s.mustGo(u) || s.leaving()) {
		return nil
	}
	if u.ended() && u.role != ephemeral && s.restartingAll() {
		return &corev1.ContainerStateWaiting{Reason: reasonRestartingAll, Message: "all containers of the Pod are being restarted"}
	}
	if u.wait != nil {
		return &corev1.ContainerStateWaiting{Reason: u.wait.reason, Message: u.wait.message}
	}
	if u.cur == nil || s.bygone(u) {
		return creating
	}
	if now.Before(s.retryAt(u)) {
		return &corev1.ContainerStateWaiting{
			Reason:  reasonCrashLoop,
			Message: "back-off " + u.crash.delay.String() + " restarting failed container=" + u.name + " pod=" + podName(s.pod),
		}
	}
	return nil
}

func terminated(a *attempt) *corev1.ContainerStateTerminated {
	t := &corev1.ContainerStateTerminated{
		ExitCode:    int32(a.ExitCode),
		Reason:      a.Reason,
		Message:     a.Message,
		StartedAt:   second(a.StartedAt),
		FinishedAt:  second(a.FinishedAt),
		ContainerID: a.ID,
	}
	switch {
	case t.Reason != "":
	case a.OOMKilled:
		t.Reason = reasonOOMKilled
	case a.ExitCode == 0:
		t.Reason = reasonCompleted
	default:
		t.Reason = reasonError
	}
	return t
}

// podName is how the kubelet names a Pod in its messages.
func podName(pod *corev1.Pod) string {
	return pod.Name + "_" + pod.Namespace + "(" + string(pod.UID) + ")"
}

// newAttempt takes over what an engine says.
func newAttempt(st container.Status) *attempt { return &attempt{Status: st} }
