// Package scheduling decides whether a Pod can run on the one node there is,
// as the scheduler of a cluster would, and says in its words why not. It is
// pure: whoever places Pods asks it with what it knows.
package scheduling

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apiresource "k8s.io/apimachinery/pkg/api/resource"
	podresources "k8s.io/component-helpers/resource"
	scheduling "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/klog/v2"

	"skiff/orchestrator/resource"
)

// Refusal is why a Pod cannot run on a node. The zero value means that it can.
type Refusal struct {
	Reasons []string // in the scheduler's words, sorted
	Final   bool     // however many Pods left the node, this one would not fit
}

// Fits says whether nothing speaks against the Pod.
func (r Refusal) Fits() bool { return len(r.Reasons) == 0 }

// The scheduler's words, for a reason that it counts nodes by.
const (
	unschedulable = "node(s) were unschedulable"
	tainted       = "node(s) had untolerated taint(s)"
	noMatch       = "node(s) didn't match Pod's node affinity/selector"
	noPorts       = "node(s) didn't have free ports for the requested pod ports"
	claimTaken    = "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"
	tooMany       = "Too many pods"
	insufficient  = "Insufficient " // of a resource
)

// Fit says whether the Pod can run on the node next to the others, which hold
// their places already. Those of its claims that only one Pod may use at a time
// are named by alone. As in the scheduler, the first filter that refuses
// tells its reasons and no other is asked. What would choose among several
// nodes or keep Pods apart (preferences, Pod affinity, topology spread) does
// not keep a Pod from the only node.
func Fit(pod *corev1.Pod, node *corev1.Node, others []*corev1.Pod, alone []string) Refusal {
	filters := []func() Refusal{
		func() Refusal { return fitsCordon(pod, node) },
		func() Refusal { return fitsTaints(pod, node) },
		func() Refusal { return fitsAffinity(pod, node) },
		func() Refusal { return fitsPorts(pod, others) },
		func() Refusal { return fitsResources(pod, node, others) },
		func() Refusal { return fitsClaims(pod, others, alone) },
	}
	for _, filter := range filters {
		if refusal := filter(); !refusal.Fits() {
			return refusal
		}
	}
	return Refusal{}
}

func final(reason string) Refusal { return Refusal{Reasons: []string{reason}, Final: true} }

// fitsCordon: kubectl cordon.
func fitsCordon(pod *corev1.Pod, node *corev1.Node) Refusal {
	taint := corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}
	if node.Spec.Unschedulable && !tolerates(pod, &taint) {
		return final(unschedulable)
	}
	return Refusal{}
}

func fitsTaints(pod *corev1.Pod, node *corev1.Node) Refusal {
	for i := range node.Spec.Taints {
		taint := &node.Spec.Taints[i]
		if taint.Effect != corev1.TaintEffectPreferNoSchedule && !tolerates(pod, taint) {
			return final(tainted)
		}
	}
	return Refusal{}
}

func tolerates(pod *corev1.Pod, taint *corev1.Taint) bool {
	return scheduling.TolerationsTolerateTaint(klog.Logger{}, pod.Spec.Tolerations, taint, false)
}

// fitsAffinity: nodeSelector and the required node affinity. An expression
// that cannot be read matches nothing.
func fitsAffinity(pod *corev1.Pod, node *corev1.Node) Refusal {
	if match, err := nodeaffinity.GetRequiredNodeAffinity(pod).Match(node); err != nil || !match {
		return final(noMatch)
	}
	return Refusal{}
}

func fitsPorts(pod *corev1.Pod, others []*corev1.Pod) Refusal {
	for _, port := range hostPorts(pod) {
		for _, other := range others {
			if slices.ContainsFunc(hostPorts(other), port.clashes) {
				return Refusal{Reasons: []string{noPorts}}
			}
		}
	}
	return Refusal{}
}

// hostPort is a port of the node that a Pod claims.
type hostPort struct {
	ip       string
	protocol corev1.Protocol
	number   int32
}

func (p hostPort) clashes(other hostPort) bool {
	return p.number == other.number && p.protocol == other.protocol &&
		(p.ip == other.ip || p.ip == anyAddress || other.ip == anyAddress)
}

const anyAddress = "0.0.0.0"

func hostPorts(pod *corev1.Pod) []hostPort {
	var ports []hostPort
	for _, c := range resource.Lasting(&pod.Spec) {
		for _, p := range c.Ports {
			if p.HostPort != 0 {
				ports = append(ports, hostPort{ip: cmp.Or(p.HostIP, anyAddress), protocol: p.Protocol, number: p.HostPort})
			}
		}
	}
	return ports
}

// counted are the resources that the node has a limit of, huge pages besides.
var counted = []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage}

// fitsResources counts requests, whatever is really used, and Pods.
func fitsResources(pod *corev1.Pod, node *corev1.Node, others []*corev1.Pod) Refusal {
	var refusal Refusal
	allocatable := node.Status.Allocatable
	if slots, ok := allocatable[corev1.ResourcePods]; ok && int64(len(others))+1 > slots.Value() {
		refusal.Reasons = append(refusal.Reasons, tooMany)
	}
	used := requests(others...)
	for name, want := range requests(pod) {
		if want.IsZero() {
			continue
		}
		have := allocatable[name]
		free := have.DeepCopy()
		free.Sub(used[name])
		if want.Cmp(free) > 0 {
			refusal.Reasons = append(refusal.Reasons, insufficient+string(name))
			refusal.Final = refusal.Final || want.Cmp(have) > 0
		}
	}
	slices.Sort(refusal.Reasons)
	return refusal
}

// requests sums up what Pods ask for of what is counted.
func requests(pods ...*corev1.Pod) corev1.ResourceList {
	sum := corev1.ResourceList{}
	for _, pod := range pods {
		asked := podresources.PodRequests(pod, podresources.PodResourcesOptions{})
		for name, quantity := range asked {
			if slices.Contains(counted, name) || strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix) {
				total := sum[name]
				total.Add(quantity)
				sum[name] = total
			}
		}
	}
	return sum
}

// fitsClaims: access mode ReadWriteOncePod.
func fitsClaims(pod *corev1.Pod, others []*corev1.Pod, alone []string) Refusal {
	for _, other := range others {
		taken := func(claim string) bool { return other.Namespace == pod.Namespace && usesClaim(other, claim) }
		if slices.ContainsFunc(alone, taken) {
			return Refusal{Reasons: []string{claimTaken}}
		}
	}
	return Refusal{}
}

func usesClaim(pod *corev1.Pod, name string) bool {
	return slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool {
		source := resource.ClaimOf(pod, &v)
		return source != nil && source.ClaimName == name
	})
}

// amount is a quantity as the kubelet counts it: processors in thousandths.
func amount(name corev1.ResourceName, q apiresource.Quantity) int64 {
	if name == corev1.ResourceCPU {
		return q.MilliValue()
	}
	return q.Value()
}
