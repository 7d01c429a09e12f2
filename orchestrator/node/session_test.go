package node

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func TestReachable(t *testing.T) {
	t.Parallel()
	of := func(uid, owner, hash string, change ...func(*corev1.Pod)) *corev1.Pod {
		controller := true
		p := newPodObject(uid, "web:1", change...)
		p.UID = types.UID(uid)
		p.Labels = map[string]string{"pod-template-hash": hash}
		p.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: owner + "-" + hash, Controller: &controller}}
		return p
	}
	ready := func(p *corev1.Pod) {
		p.Status.PodIP = "10.9.8.1"
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	}
	addressed := func(p *corev1.Pod) { p.Status.PodIP = "10.9.8.1" }
	going := func(p *corev1.Pod) { at := metav1.NewTime(noon); p.DeletionTimestamp = &at }
	late := func(p *corev1.Pod) { p.CreationTimestamp = metav1.NewTime(noon.Add(time.Minute)) }
	failed := func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }
	tests := map[string]struct {
		all    []*corev1.Pod
		want   string
		coming bool
	}{
		"itself":                         {[]*corev1.Pod{of("a", "web", "1", ready), of("b", "web", "2", ready)}, "a", true},
		"gone: a sibling":                {[]*corev1.Pod{of("b", "web", "2", ready)}, "b", true},
		"going: a sibling":               {[]*corev1.Pod{of("a", "web", "1", ready, going), of("b", "web", "2", ready)}, "b", true},
		"the newest sibling":             {[]*corev1.Pod{of("b", "web", "1", ready), of("c", "web", "2", ready, late)}, "c", true},
		"unready, no sibling: itself":    {[]*corev1.Pod{of("a", "web", "1", addressed)}, "a", true},
		"unready, a ready sibling":       {[]*corev1.Pod{of("b", "web", "2", ready), of("a", "web", "1", addressed)}, "a", true},
		"no address yet: not a sibling":  {[]*corev1.Pod{of("b", "web", "2", ready), of("a", "web", "1")}, "", true},
		"over: a sibling":                {[]*corev1.Pod{of("a", "web", "1", addressed, failed), of("b", "web", "2", ready)}, "b", true},
		"gone, one on its way":           {[]*corev1.Pod{of("b", "web", "2")}, "", true},
		"gone, only a failed one":        {[]*corev1.Pod{of("b", "web", "2", failed)}, "", false},
		"gone, another's Pods":           {[]*corev1.Pod{of("b", "other", "2", ready)}, "", false},
		"gone, a name that begins alike": {[]*corev1.Pod{of("b", "web-x", "2", ready)}, "", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target, coming := reachable(test.all, of("a", "web", "1"))
			got := ""
			if target != nil {
				got = string(target.UID)
			}
			if got != test.want || coming != test.coming {
				t.Errorf("got %q, coming %t", got, coming)
			}
		})
	}
}
