package scheduling

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
)

// Evict says whether a Pod must leave a node because of its NoExecute taints,
// and after how long: at once where one of them is not tolerated, else when the
// first toleration that has an end has ended.
func Evict(pod *corev1.Pod, node *corev1.Node) (after time.Duration, leaves bool) {
	for i := range node.Spec.Taints {
		taint := &node.Spec.Taints[i]
		if taint.Effect != corev1.TaintEffectNoExecute {
			continue
		}
		if !tolerates(pod, taint) {
			return 0, true
		}
		for _, t := range pod.Spec.Tolerations {
			if t.TolerationSeconds == nil || !t.ToleratesTaint(klog.Logger{}, taint, false) {
				continue
			}
			d := time.Duration(max(*t.TolerationSeconds, 0)) * time.Second
			if !leaves || d < after {
				after, leaves = d, true
			}
		}
	}
	return after, leaves
}
