package node

import corev1 "k8s.io/api/core/v1"

// phase sums up the containers as the kubelet does. A Pod is not over before
// the last of its sidecars has ended.
func phase(s *state, containers []corev1.ContainerStatus) corev1.PodPhase {
	switch {
	case s.failure != nil && s.stopped(), s.failedInit() != nil && s.stopped():
		return corev1.PodFailed
	case !s.initialized():
		return corev1.PodPending
	}
	n := count(containers)
	forGood := (s.finished() && s.stopped()) || (s.pod.DeletionTimestamp != nil && s.drained && s.stopped())
	switch {
	case n.waiting > 0:
		return corev1.PodPending
	case n.running > 0 || !forGood:
		return corev1.PodRunning
	case n.ended == n.succeeded:
		return corev1.PodSucceeded
	default:
		return corev1.PodFailed
	}
}

// tally is how many containers are at what.
type tally struct{ waiting, running, ended, succeeded int }

func count(containers []corev1.ContainerStatus) tally {
	var n tally
	for _, c := range containers {
		last := c.State.Terminated
		if c.State.Waiting != nil {
			last = c.LastTerminationState.Terminated
		}
		switch {
		case c.State.Running != nil:
			n.running++
		case last == nil:
			n.waiting++
		default:
			n.ended++
			if last.ExitCode == 0 {
				n.succeeded++
			}
		}
	}
	return n
}
