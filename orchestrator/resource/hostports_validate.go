package resource

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validateHostPorts checks the ports of the host that a Pod claims: each once.
func validateHostPorts(spec *corev1.PodSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	claimed := sets.New[string]()
	for _, list := range []struct {
		name       string
		containers []corev1.Container
	}{{"containers", spec.Containers}, {"initContainers", spec.InitContainers}} {
		for i, c := range list.containers {
			for j, port := range c.Ports {
				at := path.Child(list.name).Index(i).Child("ports").Index(j)
				if port.HostIP != "" {
					errs = append(errs, validation.IsValidIP(at.Child("hostIP"), port.HostIP)...)
				}
				if port.HostPort == 0 || list.name == "initContainers" && c.RestartPolicy == nil {
					continue
				}
				if port.Protocol == corev1.ProtocolSCTP && !spec.HostNetwork {
					errs = append(errs, field.Forbidden(at.Child("hostPort"), "not supported by skiff for SCTP"))
				}
				claim := fmt.Sprintf("%s/%s/%d", port.Protocol, port.HostIP, port.HostPort)
				if claimed.Has(claim) {
					errs = append(errs, field.Duplicate(at.Child("hostPort"), claim))
				}
				claimed.Insert(claim)
			}
		}
	}
	return errs
}
