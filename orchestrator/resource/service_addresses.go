package resource

import (
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

func validateAddresses(svc *corev1.Service) field.ErrorList {
	var errs field.ErrorList
	ips, path := svc.Spec.ClusterIPs, servicePath.Child("clusterIPs")
	switch {
	case svc.Spec.ClusterIP == "" && len(ips) > 0:
		errs = append(errs, field.Invalid(path, ips, "must be empty when `clusterIP` is not specified"))
	case svc.Spec.ClusterIP != "" && len(ips) == 0:
		errs = append(errs, field.Required(path, ""))
	case svc.Spec.ClusterIP != "" && ips[0] != svc.Spec.ClusterIP:
		errs = append(errs, field.Invalid(path, ips, "first value must match `clusterIP`"))
	}
	for i, ip := range ips {
		if i == 0 && ip == corev1.ClusterIPNone {
			if len(ips) > 1 {
				errs = append(errs, field.Invalid(path, ips, "'None' must be the first and only value"))
			}
			continue
		}
		errs = append(errs, validation.IsValidIP(path.Index(i), ip)...)
	}
	if len(errs) > 0 || headless(svc) {
		return errs
	}
	if len(ips) > 1 {
		errs = append(errs, field.Invalid(servicePath.Child("ipFamilyPolicy"), svc.Spec.IPFamilyPolicy,
			"this cluster is not configured for dual-stack services"))
	}
	for i, ip := range ips {
		if addr, err := netip.ParseAddr(ip); err == nil && addr.Is6() {
			errs = append(errs, field.Invalid(path.Index(i), ips, fmt.Sprintf("%s is not configured on this cluster", corev1.IPv6Protocol)))
		}
	}
	return errs
}

// validateFamilies knows one family only, IPv4. The exception is upstream's:
// endpoints of a headless Service without a selector are the client's.
func validateFamilies(svc *corev1.Service) field.ErrorList {
	var errs field.ErrorList
	families, path := svc.Spec.IPFamilies, servicePath.Child("ipFamilies")
	for i, family := range families {
		switch {
		case family != corev1.IPv4Protocol && family != corev1.IPv6Protocol:
			errs = append(errs, field.NotSupported(path.Index(i), family, []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}))
		case slices.Contains(families[:i], family):
			errs = append(errs, field.Duplicate(path.Index(i), family))
		case family == corev1.IPv6Protocol && !selectorlessHeadless(&svc.Spec):
			errs = append(errs, field.Invalid(path.Index(i), family, "not configured on this cluster"))
		}
	}
	policyPath := servicePath.Child("ipFamilyPolicy")
	switch policy := ptr.Deref(svc.Spec.IPFamilyPolicy, corev1.IPFamilyPolicySingleStack); policy {
	case corev1.IPFamilyPolicySingleStack:
		if len(families) > 1 {
			errs = append(errs, field.Invalid(policyPath, policy, "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified"))
		}
	case corev1.IPFamilyPolicyPreferDualStack:
	case corev1.IPFamilyPolicyRequireDualStack:
		if !selectorlessHeadless(&svc.Spec) {
			errs = append(errs, field.Invalid(policyPath, policy, "this cluster is not configured for dual-stack services"))
		}
	default:
		errs = append(errs, field.NotSupported(policyPath, policy, []corev1.IPFamilyPolicy{
			corev1.IPFamilyPolicyPreferDualStack, corev1.IPFamilyPolicyRequireDualStack, corev1.IPFamilyPolicySingleStack,
		}))
	}
	return errs
}

func validateTrafficPolicies(svc *corev1.Service) field.ErrorList {
	var errs field.ErrorList
	external := servicePath.Child("externalTrafficPolicy")
	if !externallyAccessible(svc) {
		if svc.Spec.ExternalTrafficPolicy != "" {
			errs = append(errs, field.Invalid(external, svc.Spec.ExternalTrafficPolicy, "may only be set for externally-accessible services"))
		}
	} else {
		errs = append(errs, validateOneOf(svc.Spec.ExternalTrafficPolicy, external,
			corev1.ServiceExternalTrafficPolicyCluster, corev1.ServiceExternalTrafficPolicyLocal)...)
	}
	if !needsHealthCheck(svc) && svc.Spec.HealthCheckNodePort != 0 {
		errs = append(errs, field.Invalid(servicePath.Child("healthCheckNodePort"), svc.Spec.HealthCheckNodePort,
			"may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"))
	}
	if p := svc.Spec.InternalTrafficPolicy; p != nil {
		errs = append(errs, validateOneOf(*p, servicePath.Child("internalTrafficPolicy"),
			corev1.ServiceInternalTrafficPolicyCluster, corev1.ServiceInternalTrafficPolicyLocal)...)
	} else if svc.Spec.Type != corev1.ServiceTypeExternalName {
		errs = append(errs, field.Required(servicePath.Child("internalTrafficPolicy"), ""))
	}
	if d := svc.Spec.TrafficDistribution; d != nil {
		errs = append(errs, validateOneOf(*d, servicePath.Child("trafficDistribution"), corev1.ServiceTrafficDistributionPreferClose,
			corev1.ServiceTrafficDistributionPreferSameNode, corev1.ServiceTrafficDistributionPreferSameZone)...)
	}
	return errs
}

func validateServiceUpdate(svc, old *corev1.Service) field.ErrorList {
	errs := validateMetaUpdate(svc, old)
	const fixed = "may not change once set"
	if svc.Spec.Type != corev1.ServiceTypeExternalName && old.Spec.Type != corev1.ServiceTypeExternalName && (!headless(svc) || !headless(old)) {
		errs = append(errs, validateAddressesUpdate(svc.Spec.ClusterIPs, old.Spec.ClusterIPs, fixed)...)
		if headless(svc) == headless(old) && !slices.Equal(svc.Spec.IPFamilies, old.Spec.IPFamilies) {
			errs = append(errs, field.Invalid(servicePath.Child("ipFamilies").Index(0), svc.Spec.IPFamilies, fixed))
		}
	}
	if svc.Spec.Type == corev1.ServiceTypeLoadBalancer && old.Spec.Type == corev1.ServiceTypeLoadBalancer &&
		!ptr.Equal(svc.Spec.LoadBalancerClass, old.Spec.LoadBalancerClass) {
		errs = append(errs, field.Invalid(servicePath.Child("loadBalancerClass"), svc.Spec.LoadBalancerClass, fixed))
	}
	if needsHealthCheck(svc) && needsHealthCheck(old) && svc.Spec.HealthCheckNodePort != old.Spec.HealthCheckNodePort {
		errs = append(errs, field.Forbidden(servicePath.Child("healthCheckNodePort"), "field is immutable"))
	}
	return errs
}

func validateAddressesUpdate(ips, old []string, fixed string) field.ErrorList {
	path := servicePath.Child("clusterIPs").Index(0)
	if len(old) == 0 {
		return nil
	}
	if len(ips) == 0 {
		return field.ErrorList{field.Invalid(path, ips, "primary clusterIP can not be unset")}
	}
	if ips[0] != old[0] {
		return field.ErrorList{field.Invalid(path, ips, fixed)}
	}
	return nil
}

func validateServiceStatus(svc, old *corev1.Service) field.ErrorList {
	errs := validateMetaUpdate(svc, old)
	path := field.NewPath("status", "loadBalancer", "ingress")
	ingress := svc.Status.LoadBalancer.Ingress
	if svc.Spec.Type != corev1.ServiceTypeLoadBalancer && len(ingress) > 0 {
		return append(errs, field.Forbidden(path, "may only be used when `spec.type` is 'LoadBalancer'"))
	}
	for i := range ingress {
		errs = append(errs, validateIngress(&ingress[i], path.Index(i))...)
	}
	return errs
}

func validateIngress(ingress *corev1.LoadBalancerIngress, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if ingress.IP != "" {
		errs = append(errs, validation.IsValidIP(path.Child("ip"), ingress.IP)...)
	} else if ingress.IPMode != nil {
		errs = append(errs, field.Forbidden(path.Child("ipMode"), "may not be specified when `ip` is not set"))
	}
	if ingress.IPMode != nil {
		errs = append(errs, validateOneOf(*ingress.IPMode, path.Child("ipMode"), corev1.LoadBalancerIPModeProxy, corev1.LoadBalancerIPModeVIP)...)
	}
	if ingress.Hostname == "" {
		return errs
	}
	errs = append(errs, invalid(path.Child("hostname"), ingress.Hostname, validation.IsDNS1123Subdomain(ingress.Hostname))...)
	if _, err := netip.ParseAddr(ingress.Hostname); err == nil {
		errs = append(errs, field.Invalid(path.Child("hostname"), ingress.Hostname, "must be a DNS name, not an IP address"))
	}
	return errs
}
