package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/client-go/kubernetes"
	deploymentutil "k8s.io/kubectl/pkg/util/deployment"
	"k8s.io/kubectl/pkg/util/podutils"
)

// sayWhy prints what keeps the newest Pods of a Deployment from being ready. It
// comes after an error that it only adds to, so its own troubles stay unsaid.
func (p *program) sayWhy(ctx context.Context, r *request, info *resource.Info) {
	client, err := r.clientset()
	if err != nil {
		return
	}
	deployment, err := client.AppsV1().Deployments(info.Namespace).Get(ctx, info.Name, metav1.GetOptions{})
	if err != nil {
		return
	}
	_, _, newest, err := deploymentutil.GetAllReplicaSets(deployment, client.AppsV1())
	if err != nil || newest == nil {
		return
	}
	selector, err := metav1.LabelSelectorAsSelector(newest.Spec.Selector)
	if err != nil {
		return
	}
	pods, err := client.CoreV1().Pods(info.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector.String(), Limit: 500})
	if err != nil {
		return
	}
	events, err := client.CoreV1().Events(info.Namespace).List(ctx, metav1.ListOptions{FieldSelector: "type=Warning", Limit: 500})
	if err != nil {
		events = &corev1.EventList{}
	}
	for _, line := range reasons(deployment, newest, pods.Items, events.Items) {
		printf(p.ErrOut, "  %s\n", line)
	}
	p.sayLastWords(ctx, client, pods.Items)
}

// reasons says, one line each, what the conditions and the Pods tell about a
// rollout that does not get on; what several Pods have in common is said once.
func reasons(d *appsv1.Deployment, newest *appsv1.ReplicaSet, pods []corev1.Pod, events []corev1.Event) []string {
	var lines []string
	for _, c := range d.Status.Conditions {
		bad := c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue ||
			c.Type == appsv1.DeploymentProgressing && c.Status == corev1.ConditionFalse
		if bad && c.Message != "" {
			lines = append(lines, fmt.Sprintf("%s: %s", c.Reason, c.Message))
		}
	}
	if len(pods) == 0 && newest.Status.Replicas == 0 && *cmp.Or(newest.Spec.Replicas, new(int32)) > 0 {
		lines = append(lines, fmt.Sprintf("replicaset/%s has no Pods", newest.Name))
	}
	counts := map[string]int{}
	var order []string
	first := map[string]string{}
	for i := range pods {
		for _, reason := range podReasons(&pods[i], events) {
			if counts[reason]++; counts[reason] == 1 {
				order, first[reason] = append(order, reason), pods[i].Name
			}
		}
	}
	for _, reason := range order {
		others := ""
		if n := counts[reason] - 1; n > 0 {
			others = fmt.Sprintf(" (and %d more)", n)
		}
		lines = append(lines, fmt.Sprintf("pod/%s%s: %s", first[reason], others, reason))
	}
	return lines
}

func podReasons(pod *corev1.Pod, events []corev1.Event) []string {
	var found []string
	for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		var why string
		switch state := s.State; {
		case s.Ready:
			continue
		case state.Waiting != nil:
			why = brief(state.Waiting.Reason, state.Waiting.Message)
			if last := s.LastTerminationState.Terminated; last != nil {
				how := last.Reason
				if how == "StartError" { // it had no time to say anything itself
					how = brief(how, last.Message)
				}
				why += fmt.Sprintf("; it ended with exit code %d (%s), %d restarts", last.ExitCode, how, s.RestartCount)
			}
		case state.Terminated != nil:
			why = brief(state.Terminated.Reason, fmt.Sprintf("exit code %d", state.Terminated.ExitCode))
		default:
			why = brief("not ready", lastWarning(pod, events))
		}
		found = append(found, fmt.Sprintf("container %s: %s", s.Name, why))
	}
	if len(found) > 0 {
		return found
	}
	if podutils.IsPodReady(pod) {
		return nil
	}
	if text := cmp.Or(pod.Status.Message, lastWarning(pod, events)); text != "" {
		return []string{text + roomier(text)}
	}
	return nil
}

// roomier says how there is more of what a node has too little of: what Pods
// request they need not use, so that skiff's node may offer more than there is.
func roomier(refusal string) string {
	const hint = ` ("skiff up --%s" sets how much skiff's node offers)`
	switch {
	case strings.Contains(refusal, "Insufficient cpu"):
		return fmt.Sprintf(hint, "cpus")
	case strings.Contains(refusal, "Insufficient memory"):
		return fmt.Sprintf(hint, "memory")
	}
	return ""
}

func brief(reason, message string) string {
	if message == "" {
		return reason
	}
	return reason + ": " + strings.TrimSpace(message)
}

func lastWarning(pod *corev1.Pod, events []corev1.Event) string {
	var last *corev1.Event
	for i := range events {
		e := &events[i]
		if e.InvolvedObject.UID == pod.UID && e.Type == corev1.EventTypeWarning && (last == nil || !e.LastTimestamp.Before(&last.LastTimestamp)) {
			last = e
		}
	}
	if last == nil {
		return ""
	}
	return last.Message
}

// sayLastWords prints the end of the log of the first container that ended: what
// made it end is mostly there.
func (p *program) sayLastWords(ctx context.Context, client kubernetes.Interface, pods []corev1.Pod) {
	for _, pod := range pods {
		for _, s := range pod.Status.ContainerStatuses {
			previous := s.LastTerminationState.Terminated != nil && s.State.Terminated == nil
			if s.Ready || !previous && s.State.Terminated == nil {
				continue
			}
			text := lastLines(ctx, client, &pod, s.Name, previous)
			if text == "" {
				continue
			}
			printf(p.ErrOut, "  last lines of pod/%s, container %s:\n", pod.Name, s.Name)
			for line := range strings.Lines(text) {
				printf(p.ErrOut, "    %s\n", strings.TrimRight(line, "\r\n"))
			}
			return
		}
	}
}

func lastLines(ctx context.Context, client kubernetes.Interface, pod *corev1.Pod, container string, previous bool) string {
	lines, bytes := int64(10), int64(16<<10)
	stream, err := client.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{
		Container: container, Previous: previous, TailLines: &lines, LimitBytes: &bytes,
	}).Stream(ctx)
	if err != nil {
		return ""
	}
	defer stream.Close()
	text, err := io.ReadAll(io.LimitReader(stream, bytes))
	if err != nil {
		return ""
	}
	return string(text)
}
