package main

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestCountPods(t *testing.T) {
	t.Parallel()
	pod := func(phase corev1.PodPhase, ready corev1.ConditionStatus) corev1.Pod {
		return corev1.Pod{Status: corev1.PodStatus{Phase: phase, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}}}
	}
	for want, pods := range map[string][]corev1.Pod{
		"0":            nil,
		"1, 1 running": {pod(corev1.PodRunning, corev1.ConditionTrue)},
		"5, 1 failed, 1 not ready, 1 pending, 1 running, 1 succeeded": {
			pod(corev1.PodSucceeded, corev1.ConditionFalse), pod(corev1.PodPending, corev1.ConditionFalse), pod(corev1.PodFailed, corev1.ConditionFalse),
			pod(corev1.PodRunning, corev1.ConditionFalse), pod(corev1.PodRunning, corev1.ConditionTrue),
		},
	} {
		if got := countPods(pods); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
