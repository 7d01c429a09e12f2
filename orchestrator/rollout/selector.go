package rollout

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Selector is that of a Deployment or ReplicaSet. It matches nothing where it is
// empty or cannot be read: either would claim objects that are none of its.
func Selector(of *metav1.LabelSelector) labels.Selector {
	s, err := metav1.LabelSelectorAsSelector(of)
	if err != nil || s.Empty() {
		return labels.Nothing()
	}
	return s
}
