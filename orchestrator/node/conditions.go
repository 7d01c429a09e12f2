package node

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/orchestrator/resource"
)

// ownConditions are those that the worker writes, in the kubelet's order.
var ownConditions = []corev1.PodConditionType{
	corev1.PodReadyToStartContainers, corev1.PodInitialized, corev1.PodReady, corev1.ContainersReady, corev1.PodScheduled,
	corev1.AllContainersRestarting,
}

// conditions judges the Pod as a whole. st is its status so far.
func conditions(s *state, st corev1.PodStatus, now time.Time) []corev1.PodCondition {
	containers := containersReady(s, st)
	ready := containers
	ready.Type = corev1.PodReady
	if ready.Status == corev1.ConditionTrue {
		switch shut := s.shutGates(); {
		case shut != "":
			ready.Message = shut
		case !s.serving: // skiff's own gate
			ready.Message = "requests do not reach the Pod yet"
		}
		if ready.Message != "" {
			ready.Status, ready.Reason = corev1.ConditionFalse, "ReadinessGatesNotReady"
		}
	}
	out := []corev1.PodCondition{
		{Type: corev1.PodReadyToStartContainers, Status: truth(s.networked() && !over(st.Phase))},
		initializedCondition(s, st),
		ready,
		containers,
		{Type: corev1.PodScheduled, Status: corev1.ConditionTrue},
	}
	if resource.MayRestartAll(&s.pod.Spec) {
		out = append(out, restartingCondition(s, st.Phase))
	}
	return s.dated(out, now)
}

// shutGates says which of the Pod's readiness gates keep it from being ready;
// nothing where none does.
func (s *state) shutGates() string {
	var shut []string
	for _, gate := range s.pod.Spec.ReadinessGates {
		switch c := condition(s.pod.Status.Conditions, gate.ConditionType); {
		case c == nil:
			shut = append(shut, fmt.Sprintf("corresponding condition of pod readiness gate %q does not exist.", gate.ConditionType))
		case c.Status != corev1.ConditionTrue:
			shut = append(shut, fmt.Sprintf("the status of pod readiness gate %q is not \"True\", but %v", gate.ConditionType, c.Status))
		}
	}
	return strings.Join(shut, ", ")
}

// dated gives conditions their times: those that have not changed keep theirs.
func (s *state) dated(list []corev1.PodCondition, now time.Time) []corev1.PodCondition {
	for i := range list {
		c := &list[i]
		c.ObservedGeneration = s.pod.Generation
		c.LastTransitionTime = second(now)
		if before := condition(s.reported.Conditions, c.Type); before != nil && before.Status == c.Status {
			c.LastTransitionTime = before.LastTransitionTime
		}
	}
	return list
}

// initializedCondition says whether the init containers have done their work.
func initializedCondition(s *state, st corev1.PodStatus) corev1.PodCondition {
	c := corev1.PodCondition{Type: corev1.PodInitialized, Status: corev1.ConditionTrue}
	switch {
	case st.Phase == corev1.PodSucceeded:
		c.Reason = "PodCompleted"
	case !s.initialized():
		var incomplete []string
		for _, u := range s.inits {
			if !s.through(u) {
				incomplete = append(incomplete, u.name)
			}
		}
		c.Status = corev1.ConditionFalse
		c.Reason = "ContainersNotInitialized"
		c.Message = fmt.Sprintf("containers with incomplete status: %s", incomplete)
	}
	return c
}

func containersReady(s *state, st corev1.PodStatus) corev1.PodCondition {
	c := corev1.PodCondition{Type: corev1.ContainersReady, Status: corev1.ConditionFalse}
	switch {
	case st.Phase == corev1.PodSucceeded:
		c.Reason = "PodCompleted"
		return c
	case st.Phase == corev1.PodFailed, s.failure != nil: // which its last containers do not make good
		c.Reason = "PodFailed"
		return c
	}
	var unready []string
	for _, cs := range slices.Concat(st.InitContainerStatuses, st.ContainerStatuses) {
		if !cs.Ready && s.unit(cs.Name).role != initial {
			unready = append(unready, cs.Name)
		}
	}
	if len(unready) > 0 {
		c.Reason = "ContainersNotReady"
		c.Message = fmt.Sprintf("containers with unready status: %s", unready)
		return c
	}
	c.Status = corev1.ConditionTrue
	return c
}

func condition(list []corev1.PodCondition, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range list {
		if list[i].Type == kind {
			return &list[i]
		}
	}
	return nil
}

func truth(b bool) corev1.ConditionStatus {
	if b {
		return corev1.ConditionTrue
	}
	return corev1.ConditionFalse
}

func over(p corev1.PodPhase) bool { return p == corev1.PodSucceeded || p == corev1.PodFailed }
