package resource

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// admitPod sets what the admission controllers of a cluster set in a new Pod:
// its service account, its priority and how long it stays on a node in
// trouble. Templates do not get these, so they are no part of the defaults.
func admitPod(spec *corev1.PodSpec) {
	setDefault(&spec.ServiceAccountName, "default")
	spec.DeprecatedServiceAccount = spec.ServiceAccountName
	setDefaultPointer(&spec.Priority, classPriority(spec.PriorityClassName))
	setDefaultPointer(&spec.PreemptionPolicy, corev1.PreemptLowerPriority)
	tolerateNodeTrouble(spec)
}

// classPriority is the number behind the two classes that every cluster has.
func classPriority(class string) int32 {
	switch class {
	case "system-cluster-critical":
		return 2000000000
	case "system-node-critical":
		return 2000001000
	}
	return 0
}

// nodeTroubles are the taints that every Pod tolerates for five minutes.
var nodeTroubles = []string{corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable}

func tolerateNodeTrouble(spec *corev1.PodSpec) {
	for _, taint := range nodeTroubles {
		if !slices.ContainsFunc(spec.Tolerations, func(t corev1.Toleration) bool { return tolerates(t, taint) }) {
			spec.Tolerations = append(spec.Tolerations, troubleToleration(taint))
		}
	}
}

func tolerates(t corev1.Toleration, taint string) bool {
	return (t.Key == taint || t.Key == "") && (t.Effect == corev1.TaintEffectNoExecute || t.Effect == "")
}

func troubleToleration(taint string) corev1.Toleration {
	seconds := int64(300)
	return corev1.Toleration{
		Key:               taint,
		Operator:          corev1.TolerationOpExists,
		Effect:            corev1.TaintEffectNoExecute,
		TolerationSeconds: &seconds,
	}
}

// asWritten is a Pod's spec without what defaulting and admission put into it,
// as far as that would look like a wish of its author.
func asWritten(spec *corev1.PodSpec) *corev1.PodSpec {
	written := spec.DeepCopy()
	if written.PriorityClassName != "" {
		written.Priority = nil
	}
	return written
}
