package node

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/orchestrator/resource"
)

// A cordoned node has the taint that says so, and loses no other one.
func TestCordonTaint(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		nodes := w.client.CoreV1().Nodes()
		set := func(unschedulable bool, taints ...corev1.Taint) {
			t.Helper()
			node, err := nodes.Get(t.Context(), resource.NodeName, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			node.Spec.Unschedulable = unschedulable
			node.Spec.Taints = append(node.Spec.Taints, taints...)
			if _, err := nodes.Update(t.Context(), node, metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		shows := func(what string, keys ...string) {
			t.Helper()
			w.until(time.Minute, what, func() bool {
				node, err := nodes.Get(t.Context(), resource.NodeName, metav1.GetOptions{})
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, taint := range node.Spec.Taints {
					got = append(got, taint.Key+":"+string(taint.Effect))
				}
				return cmp.Equal(got, keys)
			})
		}
		set(true, corev1.Taint{Key: "mine", Effect: corev1.TaintEffectPreferNoSchedule})
		shows("cordoned", "mine:PreferNoSchedule", "node.kubernetes.io/unschedulable:NoSchedule")
		set(false)
		shows("uncordoned", "mine:PreferNoSchedule")
	})
}
