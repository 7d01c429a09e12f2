package service

//lint:file-ignore SA1019 Endpoints are written because clients still read them.

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

func aService() *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", UID: "svc", Labels: map[string]string{"team": "a"}},
		Spec: corev1.ServiceSpec{
			Type:      corev1.ServiceTypeClusterIP,
			ClusterIP: "10.96.0.9",
			Selector:  map[string]string{"app": "web"},
			Ports:     []corev1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromString("http")}},
		},
	}
}

func aPod(n int, edit ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: fmt.Sprintf("web-%04d", n), UID: types.UID(fmt.Sprint("pod", n)),
			Labels: map[string]string{"app": "web"},
		},
		Spec: corev1.PodSpec{
			NodeName: "skiff",
			Containers: []corev1.Container{{
				Name: "web", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}},
			}},
		},
		Status: corev1.PodStatus{
			Phase:      corev1.PodRunning,
			PodIP:      fmt.Sprintf("10.0.%d.%d", n/250, n%250+1),
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
		},
	}
	for _, e := range edit {
		e(pod)
	}
	return pod
}

func somePods(n int) []*corev1.Pod {
	var pods []*corev1.Pod
	for i := range n {
		pods = append(pods, aPod(i))
	}
	return pods
}

func notReady(pod *corev1.Pod)    { pod.Status.Conditions[0].Status = corev1.ConditionFalse }
func terminating(pod *corev1.Pod) { pod.DeletionTimestamp = &metav1.Time{} }

func TestConditions(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name                        string
		pod                         *corev1.Pod
		publish                     bool
		none                        bool
		ready, serving, terminating bool
	}{
		{name: "ready", pod: aPod(1), ready: true, serving: true},
		{name: "not ready", pod: aPod(1, notReady)},
		{name: "not ready, published", pod: aPod(1, notReady), publish: true, ready: true},
		{name: "going, still serving", pod: aPod(1, terminating), serving: true, terminating: true},
		{name: "going, no longer serving", pod: aPod(1, terminating, notReady), terminating: true},
		{name: "no address yet", pod: aPod(1, func(p *corev1.Pod) { p.Status.PodIP = "" }), none: true},
		{name: "ended", pod: aPod(1, func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }), none: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			svc := aService()
			svc.Spec.PublishNotReadyAddresses = tt.publish
			members := membersOf(svc, []*corev1.Pod{tt.pod})
			if tt.none != (len(members) == 0) {
				t.Fatalf("%d members", len(members))
			}
			if tt.none {
				return
			}
			m := members[0]
			if m.ready != tt.ready || m.serving != tt.serving || m.terminating != tt.terminating {
				t.Errorf("ready %v, serving %v, terminating %v", m.ready, m.serving, m.terminating)
			}
		})
	}
}

func TestPlanSlicesNew(t *testing.T) {
	t.Parallel()
	svc := aService()
	p := planSlices(svc, membersOf(svc, somePods(1)), nil)
	want := []*discoveryv1.EndpointSlice{{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", GenerateName: "web-",
			Labels: map[string]string{
				"team":                                   "a",
				"kubernetes.io/service-name":             "web",
				"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
			},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "v1", Kind: "Service", Name: "web", UID: "svc", Controller: ptr.To(true), BlockOwnerDeletion: ptr.To(true),
			}},
		},
		AddressType: "IPv4",
		Endpoints: []discoveryv1.Endpoint{{
			Addresses:  []string{"10.0.0.1"},
			Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true), Serving: ptr.To(true), Terminating: ptr.To(false)},
			TargetRef:  &corev1.ObjectReference{Kind: "Pod", Namespace: "default", Name: "web-0000", UID: "pod0"},
			NodeName:   ptr.To("skiff"),
		}},
		Ports: []discoveryv1.EndpointPort{{Name: ptr.To(""), Protocol: ptr.To(corev1.ProtocolTCP), Port: ptr.To(int32(8080))}},
	}}
	if diff := cmp.Diff(want, p.create); diff != "" || len(p.update)+len(p.remove) > 0 {
		t.Errorf("creates (-want +got):\n%s", diff)
	}
}

// stored is what the API would list after the plan was carried out.
func stored(p slicePlan) []discoveryv1.EndpointSlice {
	var all []discoveryv1.EndpointSlice
	for i, s := range p.create {
		s.Name = fmt.Sprintf("%s%04d", s.GenerateName, i)
		all = append(all, *s)
	}
	return all
}

func TestPlanSlicesChanges(t *testing.T) {
	t.Parallel()
	svc := aService()
	plan := func(pods []*corev1.Pod, existing []discoveryv1.EndpointSlice) slicePlan {
		return planSlices(svc, membersOf(svc, pods), existing)
	}
	count := func(p slicePlan) [3]int { return [3]int{len(p.create), len(p.update), len(p.remove)} }

	existing := stored(plan(somePods(2500), nil))
	if len(existing) != 3 {
		t.Fatalf("2500 endpoints are in %d slices", len(existing))
	}
	if got := count(plan(somePods(2500), existing)); got != [3]int{} {
		t.Errorf("nothing changed, but the plan is %v", got)
	}
	one := somePods(2500)
	notReady(one[1700])
	if got := count(plan(one, existing)); got != [3]int{0, 1, 0} {
		t.Errorf("one pod changed, the plan is %v", got)
	}
	if got := count(plan(somePods(2501), existing)); got != [3]int{0, 1, 0} {
		t.Errorf("one pod more, the plan is %v", got)
	}
	if got := count(plan(somePods(900), existing)); got != [3]int{0, 1, 2} {
		t.Errorf("pods of two slices gone, the plan is %v", got)
	}
	if got := count(plan(nil, existing)); got != [3]int{1, 0, 3} {
		t.Errorf("no pods left, the plan is %v", got)
	}
	if got := count(plan(nil, stored(plan(nil, nil)))); got != [3]int{} {
		t.Errorf("still no pods, the plan is %v", got)
	}
}

func TestPlanSlicesByPodsPorts(t *testing.T) {
	t.Parallel()
	svc := aService()
	other := aPod(1, func(p *corev1.Pod) { p.Spec.Containers[0].Ports[0].ContainerPort = 9090 })
	p := planSlices(svc, membersOf(svc, []*corev1.Pod{aPod(0), other}), nil)
	if len(p.create) != 2 || *p.create[0].Ports[0].Port != 8080 || *p.create[1].Ports[0].Port != 9090 {
		t.Errorf("slices are %+v", p.create)
	}
}

func TestEndpointsFor(t *testing.T) {
	t.Parallel()
	svc := aService()
	pods := []*corev1.Pod{aPod(0), aPod(1, notReady), aPod(2, terminating)}
	got := endpointsFor(svc, membersOf(svc, pods))
	address := func(n int, ip string) []corev1.EndpointAddress {
		return []corev1.EndpointAddress{{IP: ip, NodeName: ptr.To("skiff"), TargetRef: reference(pods[n])}}
	}
	want := []corev1.EndpointSubset{{
		Addresses:         address(0, "10.0.0.1"),
		NotReadyAddresses: address(1, "10.0.0.2"),
		Ports:             []corev1.EndpointPort{{Port: 8080, Protocol: corev1.ProtocolTCP}},
	}}
	if diff := cmp.Diff(want, got.Subsets); diff != "" {
		t.Errorf("subsets (-want +got):\n%s", diff)
	}
	many := endpointsFor(svc, membersOf(svc, somePods(1200)))
	if len(many.Subsets[0].Addresses) != 1000 || many.Annotations[corev1.EndpointsOverCapacity] != "truncated" {
		t.Errorf("%d addresses, annotations %v", len(many.Subsets[0].Addresses), many.Annotations)
	}
}
