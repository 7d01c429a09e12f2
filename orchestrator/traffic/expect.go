package traffic

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"skiff/orchestrator/resource"
	"skiff/proxy/pool"
)

// surroundings are the objects of a Service's namespace that say whether a Pod
// is on its way to it.
type surroundings struct {
	pods        []*corev1.Pod
	deployments []*appsv1.Deployment
	replicaSets []*appsv1.ReplicaSet
	outage      bool // no Pod can start before the engine is back
}

// backOff are the reasons for which a container waits without hope of an early
// change.
var backOff = map[string]bool{
	"CrashLoopBackOff":           true,
	"ImagePullBackOff":           true,
	"ErrImagePull":               true,
	"ErrImageNeverPull":          true,
	"ImageInspectError":          true,
	"InvalidImageName":           true,
	"CreateContainerConfigError": true,
	"CreateContainerError":       true,
	"RunContainerError":          true,
}

// expectation says whether a Pod is on its way to the Service with this
// selector, and which, or why none is. Pods that arrived already, those that
// are ready, are not on their way.
func expectation(selector labels.Selector, around surroundings, ready func(types.UID) bool) pool.Expectation {
	var matching []*corev1.Pod
	for _, pod := range around.pods {
		if selector.Matches(labels.Set(pod.Labels)) {
			matching = append(matching, pod)
		}
	}
	slices.SortFunc(matching, func(a, b *corev1.Pod) int { return cmp.Compare(a.Name, b.Name) })
	for _, pod := range matching {
		if resource.IsActive(pod) && !ready(pod.UID) && stuck(pod) == "" {
			return pool.Expectation{Coming: true, Reason: fmt.Sprintf("pod %s is %s", pod.Name, stage(pod))}
		}
	}
	idle := ""
	for _, w := range around.workloads(selector) {
		if why, coming := w.willCreate(around.pods); coming {
			return pool.Expectation{Coming: true, Reason: why, Leaving: leaving(matching)}
		} else if idle == "" {
			idle = why
		}
	}
	// Whoever asks although a Pod is ready asks for a port that it does not have.
	whyArrived := func(pod *corev1.Pod) string {
		if !ready(pod.UID) {
			return ""
		}
		return fmt.Sprintf("pod %s has no port of the name that is the Service's targetPort", pod.Name)
	}
	return pool.Expectation{Reason: cmp.Or(first(matching, whyArrived),
		first(matching, whyStuck), idle, first(matching, whyOver), "no Pod matches the selector "+selector.String())}
}

// leaving is by when the Pods that are being deleted will have ended; zero if none is.
func leaving(pods []*corev1.Pod) (by time.Time) {
	for _, pod := range pods {
		if at := pod.DeletionTimestamp; at != nil && !resource.IsFinished(pod) && at.After(by) {
			by = at.Time
		}
	}
	return by
}

func first(pods []*corev1.Pod, why func(*corev1.Pod) string) string {
	for _, pod := range pods {
		if reason := why(pod); reason != "" {
			return reason
		}
	}
	return ""
}

func whyStuck(pod *corev1.Pod) string {
	if in := stuck(pod); resource.IsActive(pod) && in != "" {
		return fmt.Sprintf("pod %s is in %s", pod.Name, in)
	}
	return ""
}

func whyOver(pod *corev1.Pod) string {
	switch {
	case pod.DeletionTimestamp != nil:
		return fmt.Sprintf("pod %s is being deleted", pod.Name)
	case !resource.IsActive(pod):
		return fmt.Sprintf("pod %s has ended (%s)", pod.Name, pod.Status.Phase)
	}
	return ""
}

// workload makes Pods after a template.
type workload struct {
	name     string // with its kind, for people
	replicas int32
	paused   bool
	selector *metav1.LabelSelector
}

// workloads lists those whose Pods the Service would select.
func (s surroundings) workloads(selector labels.Selector) []workload {
	var all []workload
	for _, d := range s.deployments {
		if d.DeletionTimestamp == nil && selector.Matches(labels.Set(d.Spec.Template.Labels)) {
			all = append(all, workload{"deployment " + d.Name, ptr.Deref(d.Spec.Replicas, 1), d.Spec.Paused, d.Spec.Selector})
		}
	}
	for _, r := range s.replicaSets {
		owned := metav1.GetControllerOf(r) != nil
		if owned && ptr.Deref(r.Spec.Replicas, 1) == 0 {
			continue // an old revision
		}
		if r.DeletionTimestamp == nil && selector.Matches(labels.Set(r.Spec.Template.Labels)) {
			all = append(all, workload{"replicaset " + r.Name, ptr.Deref(r.Spec.Replicas, 1), false, r.Spec.Selector})
		}
	}
	slices.SortFunc(all, func(a, b workload) int { return cmp.Compare(a.name, b.name) })
	return all
}

// willCreate says whether a Pod is still to come of a workload. Where all it
// has are stuck, another would be, too.
func (w workload) willCreate(pods []*corev1.Pod) (why string, coming bool) {
	if w.replicas == 0 {
		return w.name + " is scaled to zero", false
	}
	selector, err := metav1.LabelSelectorAsSelector(w.selector)
	if err != nil {
		return "", false
	}
	living, unstuck := int32(0), 0
	for _, pod := range pods {
		if resource.IsActive(pod) && selector.Matches(labels.Set(pod.Labels)) {
			living++
			if stuck(pod) == "" {
				unstuck++
			}
		}
	}
	switch {
	case living >= w.replicas || living > 0 && unstuck == 0:
		return "", false
	case w.paused:
		return w.name + " is paused", false
	}
	return w.name + " is about to start a Pod", true
}

// templates are the Pod specs, running or to be, that a Service leads to.
func (s surroundings) templates(selector labels.Selector) []*corev1.PodSpec {
	var specs []*corev1.PodSpec
	for _, d := range s.deployments {
		if selector.Matches(labels.Set(d.Spec.Template.Labels)) {
			specs = append(specs, &d.Spec.Template.Spec)
		}
	}
	for _, r := range s.replicaSets {
		if selector.Matches(labels.Set(r.Spec.Template.Labels)) {
			specs = append(specs, &r.Spec.Template.Spec)
		}
	}
	for _, pod := range s.pods {
		if selector.Matches(labels.Set(pod.Labels)) {
			specs = append(specs, &pod.Spec)
		}
	}
	return specs
}

// stuck says what a Pod is stuck in, or nothing.
func stuck(pod *corev1.Pod) string {
	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for _, s := range statuses {
			if w := s.State.Waiting; w != nil && backOff[w.Reason] {
				if w.Message == "" {
					return w.Reason
				}
				return w.Reason + ": " + w.Message
			}
		}
	}
	return ""
}

// stage says how far a Pod has come that is on its way.
func stage(pod *corev1.Pod) string {
	for _, s := range pod.Status.ContainerStatuses {
		if w := s.State.Waiting; w != nil && w.Reason != "" {
			return "starting (" + w.Reason + ")"
		}
		if s.State.Terminated != nil {
			return "restarting"
		}
	}
	if pod.Status.Phase == corev1.PodRunning {
		return "running but not ready yet"
	}
	return "starting"
}
