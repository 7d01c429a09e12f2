package resource

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// TargetPort is the number of the Pod's port that a Service's port leads to; false
// where it has none of that name.
func TargetPort(p corev1.ServicePort, pod *corev1.PodSpec) (int32, bool) {
	if p.TargetPort.Type == intstr.Int {
		return cmp.Or(p.TargetPort.IntVal, p.Port), true
	}
	for _, c := range Lasting(pod) {
		if number, ok := NamedPort(&c, p.TargetPort.StrVal, p.Protocol); ok {
			return number, true
		}
	}
	return 0, false
}

// Lasting are the containers that run for as long as their Pod does: the regular
// ones, and then the sidecars.
func Lasting(pod *corev1.PodSpec) []corev1.Container {
	sidecars := slices.DeleteFunc(slices.Clone(pod.InitContainers), func(c corev1.Container) bool { return !IsSidecar(c) })
	return slices.Concat(pod.Containers, sidecars)
}

// NamedPort is the number of a container's port.
func NamedPort(c *corev1.Container, name string, protocol corev1.Protocol) (int32, bool) {
	for _, p := range c.Ports {
		if p.Name == name && cmp.Or(p.Protocol, corev1.ProtocolTCP) == cmp.Or(protocol, corev1.ProtocolTCP) {
			return p.ContainerPort, true
		}
	}
	return 0, false
}
