package scheduling

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// NoNode is what the scheduler says where there is no node at all.
const NoNode = "no nodes available to schedule pods"

// Gated is the message of a Pod that waits for its scheduling gates.
const Gated = "Scheduling is blocked due to non-empty scheduling gates"

// Message is what the scheduler says of a Pod that cannot run on the one node.
// Its last part is about making room by ending Pods of a lower priority, which
// skiff never does.
func (r Refusal) Message() string {
	counted := make([]string, len(r.Reasons))
	for i, reason := range r.Reasons {
		counted[i] = "1 " + reason
	}
	preemption := "No preemption victims found for incoming pod"
	if r.Final {
		preemption = "Preemption is not helpful for scheduling"
	}
	const available = "0/1 nodes are available: "
	return available + strings.Join(counted, ", ") + ". no new claims to deallocate, preemption: " + available + "1 " + preemption + "."
}

// Unclaimed is what the scheduler says of a Pod whose claims keep it from every
// node.
func Unclaimed(why string) string {
	const available = "0/1 nodes are available: "
	return available + why + ". no new claims to deallocate, preemption: " + available + "1 Preemption is not helpful for scheduling."
}

// Rejection is what the kubelet reports of a Pod that was put on the node
// without asking the scheduler, and for which there is no place.
type Rejection struct{ Reason, Message string }

// Admit says whether the node takes a Pod that names it; nil if so. Cordon and
// taints bind the scheduler, not the node.
func Admit(pod *corev1.Pod, node *corev1.Node, others []*corev1.Pod) *Rejection {
	if refusal := fitsResources(pod, node, others); !refusal.Fits() {
		return outOf(refusal.Reasons[0], pod, node, others)
	}
	if !fitsAffinity(pod, node).Fits() {
		return reject("NodeAffinity", "Predicate NodeAffinity failed: "+noMatch)
	}
	if !fitsPorts(pod, others).Fits() {
		return reject("NodePorts", "Predicate NodePorts failed: "+noPorts)
	}
	return nil
}

func reject(reason, why string) *Rejection {
	return &Rejection{Reason: reason, Message: "Pod was rejected: " + why}
}

// outOf explains which resource there is too little of.
func outOf(reason string, pod *corev1.Pod, node *corev1.Node, others []*corev1.Pod) *Rejection {
	const text = "Node didn't have enough resource: %s, requested: %d, used: %d, capacity: %d"
	if reason == tooMany {
		slots := node.Status.Allocatable[corev1.ResourcePods]
		return reject("OutOfpods", fmt.Sprintf(text, corev1.ResourcePods, 1, len(others), slots.Value()))
	}
	name := corev1.ResourceName(strings.TrimPrefix(reason, insufficient))
	of := func(list corev1.ResourceList) int64 { return amount(name, list[name]) }
	return reject("OutOf"+string(name), fmt.Sprintf(text, name, of(requests(pod)), of(requests(others...)), of(node.Status.Allocatable)))
}
