package service

import (
	"cmp"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/kubectl/pkg/util/podutils"
	"k8s.io/utils/ptr"

	"skiff/orchestrator/resource"
)

// member is a Pod as a Service sees it: where it can be reached and how far it is.
type member struct {
	pod                         *corev1.Pod
	ports                       []discoveryv1.EndpointPort
	ready, serving, terminating bool
}

// membersOf lists the Pods among those selected that have an address and have
// not ended, by name.
func membersOf(svc *corev1.Service, pods []*corev1.Pod) []member {
	var members []member
	for _, pod := range pods {
		if pod.Status.PodIP == "" || resource.IsFinished(pod) {
			continue
		}
		serving, terminating := podutils.IsPodReady(pod), pod.DeletionTimestamp != nil
		members = append(members, member{
			pod:         pod,
			ports:       portsOf(svc, pod),
			ready:       svc.Spec.PublishNotReadyAddresses || serving && !terminating,
			serving:     serving,
			terminating: terminating,
		})
	}
	slices.SortFunc(members, func(a, b member) int { return cmp.Compare(a.pod.Name, b.pod.Name) })
	return members
}

// sameEndpoint says whether no Service would write anything else for the Pod.
func sameEndpoint(a, b *corev1.Pod) bool {
	return a.UID == b.UID && a.Status.PodIP == b.Status.PodIP && a.Spec.NodeName == b.Spec.NodeName &&
		podutils.IsPodReady(a) == podutils.IsPodReady(b) && resource.IsFinished(a) == resource.IsFinished(b) &&
		(a.DeletionTimestamp == nil) == (b.DeletionTimestamp == nil) && maps.Equal(a.Labels, b.Labels)
}

// portsOf resolves the Service's ports in one Pod, whose containers may give the
// same name to another number than the next Pod's do. A port that the Pod does
// not have is left out.
func portsOf(svc *corev1.Service, pod *corev1.Pod) []discoveryv1.EndpointPort {
	ports := []discoveryv1.EndpointPort{}
	for _, p := range svc.Spec.Ports {
		number, ok := resource.TargetPort(p, &pod.Spec)
		if !ok {
			continue
		}
		ports = append(ports, discoveryv1.EndpointPort{
			Name:        ptr.To(p.Name),
			Protocol:    ptr.To(p.Protocol),
			Port:        ptr.To(number),
			AppProtocol: p.AppProtocol,
		})
	}
	slices.SortFunc(ports, func(a, b discoveryv1.EndpointPort) int { return cmp.Compare(*a.Name, *b.Name) })
	return ports
}

// hostname is the name that the Pod has below the Service's own in DNS.
func hostname(svc *corev1.Service, pod *corev1.Pod) string {
	if pod.Spec.Subdomain == svc.Name {
		return pod.Spec.Hostname
	}
	return ""
}

func reference(pod *corev1.Pod) *corev1.ObjectReference {
	return &corev1.ObjectReference{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID}
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
