package node

import (
	"fmt"
	"maps"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubectl/pkg/util/fieldpath"
	resourcehelper "k8s.io/kubectl/pkg/util/resource"

	"skiff/orchestrator/resource"
)

// facts are what a container may learn of itself and of its node although the
// Pod's object does not say it, or not yet.
type facts struct {
	podIP, hostIP netip.Addr
	allocatable   corev1.ResourceList // what it may take at most without a limit
}

// field is the value of a fieldRef.
func (f facts) field(pod *corev1.Pod, path string) (string, error) {
	switch path {
	case "spec.nodeName":
		return resource.NodeName, nil
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName, nil
	case "status.hostIP", "status.hostIPs":
		return f.hostIP.String(), nil
	case "status.podIP", "status.podIPs":
		return f.podIP.String(), nil
	}
	return fieldpath.ExtractFieldPathAsString(pod, path)
}

func containerOf(pod *corev1.Pod, name string) *corev1.Container {
	for _, list := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return nil
}

// resource is the value of a resourceFieldRef.
func (f facts) resource(pod *corev1.Pod, c *corev1.Container, ref *corev1.ResourceFieldSelector) (string, error) {
	if ref.ContainerName != "" && ref.ContainerName != c.Name {
		if c = containerOf(pod, ref.ContainerName); c == nil {
			return "", fmt.Errorf("container %s not found", ref.ContainerName)
		}
	}
	bounded := c.DeepCopy()
	bounded.Resources.Limits = maps.Clone(f.allocatable)
	if whole := pod.Spec.Resources; whole != nil {
		maps.Copy(bounded.Resources.Limits, whole.Limits)
	}
	maps.Copy(bounded.Resources.Limits, c.Resources.Limits)
	return resourcehelper.ExtractContainerResourceValue(ref, bounded)
}
