package resource

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// unsupportedByService refuses what Kubernetes would do and skiff does not, where
// leaving it out would send traffic another way than the manifest says.
func unsupportedByService(svc *corev1.Service) field.ErrorList {
	var errs field.ErrorList
	refuse := func(path *field.Path, what string) {
		errs = append(errs, field.Forbidden(path, "skiff does not support "+what))
	}
	if len(svc.Spec.ExternalIPs) > 0 {
		refuse(servicePath.Child("externalIPs"), "external IPs")
	}
	if len(svc.Spec.LoadBalancerSourceRanges) > 0 {
		refuse(servicePath.Child("loadBalancerSourceRanges"), "source ranges: load balancers listen on the loopback address")
	}
	for i, port := range svc.Spec.Ports {
		if port.Protocol == corev1.ProtocolSCTP {
			refuse(servicePath.Child("ports").Index(i).Child("protocol"), fmt.Sprintf("ports of protocol %s", port.Protocol))
		}
	}
	return errs
}

// serviceWarnings names what is accepted and changes nothing on one machine.
func serviceWarnings(svc *corev1.Service) []string {
	var warnings []string
	warn := func(format string, args ...any) { warnings = append(warnings, fmt.Sprintf(format, args...)) }
	if svc.Spec.LoadBalancerIP != "" {
		warn("spec.loadBalancerIP: has no effect in skiff, load balancers listen on the loopback address")
	}
	if svc.Spec.LoadBalancerClass != nil {
		warn("spec.loadBalancerClass: has no effect in skiff, which serves every load balancer itself")
	}
	if svc.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal {
		warn("spec.externalTrafficPolicy: Local has no effect in skiff, all Pods run on one node")
	}
	if svc.Spec.ExternalName != "" && svc.Spec.Type != corev1.ServiceTypeExternalName {
		warn("spec.externalName is ignored when spec.type is not %q", corev1.ServiceTypeExternalName)
	}
	return warnings
}
