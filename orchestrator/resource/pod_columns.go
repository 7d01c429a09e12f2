package resource

import (
	"cmp"
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubectl/pkg/util/podutils"
)

var podColumns = []metav1.TableColumnDefinition{
	nameColumn(),
	column("Ready", "string", "The aggregate readiness state of this pod for accepting traffic."),
	column("Status", "string", "The aggregate status of the containers in this pod."),
	column("Restarts", "string", "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted."),
	ageColumn(),
	wideColumn("IP", "string", corev1.PodStatus{}.SwaggerDoc()["podIP"]),
	wideColumn("Node", "string", corev1.PodSpec{}.SwaggerDoc()["nodeName"]),
	wideColumn("Nominated Node", "string", corev1.PodStatus{}.SwaggerDoc()["nominatedNodeName"]),
	wideColumn("Readiness Gates", "string", corev1.PodSpec{}.SwaggerDoc()["readinessGates"]),
}

func podRow(p *corev1.Pod) []any { return podRowAt(p, time.Now()) }

func podRowAt(p *corev1.Pod, now time.Time) []any {
	s := summarize(p)
	restarts := strconv.Itoa(s.restarts)
	if s.restarts != 0 && !s.lastRestart.IsZero() {
		restarts = fmt.Sprintf("%d (%s ago)", s.restarts, age(s.lastRestart, now))
	}
	return []any{
		p.Name,
		fmt.Sprintf("%d/%d", s.ready, s.containers),
		s.status,
		restarts,
		age(p.CreationTimestamp, now),
		cmp.Or(podIP(p), "<none>"),
		cmp.Or(p.Spec.NodeName, "<none>"),
		cmp.Or(p.Status.NominatedNodeName, "<none>"),
		readinessGates(p),
	}
}

// podSummary is a Pod in the words of one line.
type podSummary struct {
	status      string
	containers  int
	ready       int
	restarts    int
	lastRestart metav1.Time
}

// summarize finds the word that tells most about the Pod: its phase, unless a
// container has something to say, unless the Pod is about to go.
func summarize(p *corev1.Pod) podSummary {
	s := podSummary{status: string(p.Status.Phase), containers: len(p.Spec.Containers)}
	if p.Status.Reason != "" {
		s.status = p.Status.Reason
	}
	if c := podCondition(p, corev1.PodScheduled); c != nil && c.Reason == corev1.PodReasonSchedulingGated {
		s.status = corev1.PodReasonSchedulingGated
	}
	if initialized := s.addInitContainers(p); initialized || conditionTrue(p, corev1.PodInitialized) {
		s.addContainers(p)
	}
	switch {
	case p.DeletionTimestamp == nil:
	case p.Status.Reason == "NodeLost":
		s.status = "Unknown"
	case !IsFinished(p):
		s.status = "Terminating"
	}
	return s
}

// addInitContainers counts the init containers in, up to the first that has
// not done its work, and says whether all have. After that, only the restarts
// of those that run on beside the containers count.
func (s *podSummary) addInitContainers(p *corev1.Pod) (initialized bool) {
	sidecars := map[string]bool{}
	for _, c := range p.Spec.InitContainers {
		if IsSidecar(c) {
			sidecars[c.Name] = true
			s.containers++
		}
	}
	initialized = true
	var all, beside podSummary
	for i, c := range p.Status.InitContainerStatuses {
		all.addRestarts(c)
		if sidecars[c.Name] {
			beside.addRestarts(c)
		}
		if t := c.State.Terminated; t != nil && t.ExitCode == 0 {
			continue
		}
		if sidecars[c.Name] && c.Started != nil && *c.Started {
			if c.Ready {
				s.ready++
			}
			continue
		}
		s.status = "Init:" + initStatus(c, i, len(p.Spec.InitContainers))
		initialized = false
		break
	}
	s.restarts, s.lastRestart = all.restarts, all.lastRestart
	if initialized || conditionTrue(p, corev1.PodInitialized) {
		s.restarts, s.lastRestart = beside.restarts, beside.lastRestart
	}
	return initialized
}

// initStatus is what the init container that holds up the others is at.
func initStatus(c corev1.ContainerStatus, index, total int) string {
	switch waiting := c.State.Waiting; {
	case c.State.Terminated != nil:
		return endStatus(c.State.Terminated)
	case waiting != nil && waiting.Reason != "" && waiting.Reason != "PodInitializing":
		return waiting.Reason
	}
	return fmt.Sprintf("%d/%d", index, total)
}

// addContainers counts the containers in, the last one first, so that the
// first one that has something to say has the last word.
func (s *podSummary) addContainers(p *corev1.Pod) {
	running := false
	for i := len(p.Status.ContainerStatuses) - 1; i >= 0; i-- {
		c := p.Status.ContainerStatuses[i]
		s.addRestarts(c)
		switch {
		case c.State.Waiting != nil && c.State.Waiting.Reason != "":
			s.status = c.State.Waiting.Reason
		case c.State.Terminated != nil:
			s.status = endStatus(c.State.Terminated)
		case c.Ready && c.State.Running != nil:
			running = true
			s.ready++
		}
	}
	if s.status == "Completed" && running {
		s.status = "NotReady"
		if podutils.IsPodReady(p) {
			s.status = "Running"
		}
	}
}

func (s *podSummary) addRestarts(c corev1.ContainerStatus) {
	s.restarts += int(c.RestartCount)
	if t := c.LastTerminationState.Terminated; t != nil && s.lastRestart.Before(&t.FinishedAt) {
		s.lastRestart = t.FinishedAt
	}
}

// endStatus is how a container ended.
func endStatus(t *corev1.ContainerStateTerminated) string {
	switch {
	case t.Reason != "":
		return t.Reason
	case t.Signal != 0:
		return fmt.Sprintf("Signal:%d", t.Signal)
	}
	return fmt.Sprintf("ExitCode:%d", t.ExitCode)
}

// readinessGates counts the conditions that the Pod waits for besides its
// containers.
func readinessGates(p *corev1.Pod) string {
	if len(p.Spec.ReadinessGates) == 0 {
		return "<none>"
	}
	passed := 0
	for _, gate := range p.Spec.ReadinessGates {
		if conditionTrue(p, gate.ConditionType) {
			passed++
		}
	}
	return fmt.Sprintf("%d/%d", passed, len(p.Spec.ReadinessGates))
}

func podCondition(p *corev1.Pod, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range p.Status.Conditions {
		if p.Status.Conditions[i].Type == kind {
			return &p.Status.Conditions[i]
		}
	}
	return nil
}

func conditionTrue(p *corev1.Pod, kind corev1.PodConditionType) bool {
	c := podCondition(p, kind)
	return c != nil && c.Status == corev1.ConditionTrue
}
