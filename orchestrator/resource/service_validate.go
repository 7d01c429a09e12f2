package resource

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var servicePath = field.NewPath("spec")

func validateService(svc *corev1.Service) field.ErrorList {
	errs := validateMeta(svc, true, apivalidation.NameIsDNSLabel)
	errs = append(errs, validateServiceType(svc)...)
	errs = append(errs, validateServicePorts(svc)...)
	errs = append(errs, metavalidation.ValidateLabels(svc.Spec.Selector, servicePath.Child("selector"))...)
	errs = append(errs, validateSessionAffinity(&svc.Spec)...)
	if svc.Spec.Type != corev1.ServiceTypeExternalName {
		errs = append(errs, validateAddresses(svc)...)
		errs = append(errs, validateFamilies(svc)...)
	}
	errs = append(errs, validateTrafficPolicies(svc)...)
	errs = append(errs, validateLoadBalancerFields(&svc.Spec)...)
	// What is wrong anywhere is said first; only what is right can be wrong here.
	if len(errs) == 0 {
		errs = unsupportedByService(svc)
	}
	return errs
}

func validateServiceType(svc *corev1.Service) field.ErrorList {
	switch svc.Spec.Type {
	case corev1.ServiceTypeClusterIP:
		return nil
	case corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer:
		if headless(svc) {
			return field.ErrorList{field.Invalid(servicePath.Child("clusterIPs").Index(0), corev1.ClusterIPNone,
				fmt.Sprintf("may not be set to 'None' for %s services", svc.Spec.Type))}
		}
		return nil
	case corev1.ServiceTypeExternalName:
		return validateExternalName(&svc.Spec)
	}
	return validateOneOf(svc.Spec.Type, servicePath.Child("type"), corev1.ServiceTypeClusterIP,
		corev1.ServiceTypeExternalName, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeNodePort)
}

func validateExternalName(spec *corev1.ServiceSpec) field.ErrorList {
	var errs field.ErrorList
	const detail = "may not be set for ExternalName services"
	if len(spec.ClusterIPs) > 0 {
		errs = append(errs, field.Forbidden(servicePath.Child("clusterIPs"), detail))
	}
	if len(spec.IPFamilies) > 0 {
		errs = append(errs, field.Forbidden(servicePath.Child("ipFamilies"), detail))
	}
	if spec.IPFamilyPolicy != nil {
		errs = append(errs, field.Forbidden(servicePath.Child("ipFamilyPolicy"), detail))
	}
	name := strings.TrimSuffix(spec.ExternalName, ".")
	if name == "" {
		return append(errs, field.Required(servicePath.Child("externalName"), ""))
	}
	return append(errs, invalid(servicePath.Child("externalName"), name, validation.IsDNS1123Subdomain(name))...)
}

func validateServicePorts(svc *corev1.Service) field.ErrorList {
	var errs field.ErrorList
	path := servicePath.Child("ports")
	if len(svc.Spec.Ports) == 0 && !headless(svc) && svc.Spec.Type != corev1.ServiceTypeExternalName {
		errs = append(errs, field.Required(path, ""))
	}
	names, ports, nodePorts := map[string]bool{}, map[corev1.ServicePort]bool{}, map[corev1.ServicePort]bool{}
	for i := range svc.Spec.Ports {
		port, at := &svc.Spec.Ports[i], path.Index(i)
		errs = append(errs, validateServicePort(port, len(svc.Spec.Ports) > 1, at)...)
		if port.Name != "" && names[port.Name] {
			errs = append(errs, field.Duplicate(at.Child("name"), port.Name))
		}
		names[port.Name] = true
		if key := (corev1.ServicePort{Protocol: port.Protocol, Port: port.Port}); ports[key] {
			errs = append(errs, field.Duplicate(at, key))
		} else {
			ports[key] = true
		}
		if port.NodePort == 0 {
			continue
		}
		if svc.Spec.Type == corev1.ServiceTypeClusterIP {
			errs = append(errs, field.Forbidden(at.Child("nodePort"), "may not be used when `type` is 'ClusterIP'"))
		}
		if key := (corev1.ServicePort{Protocol: port.Protocol, NodePort: port.NodePort}); nodePorts[key] {
			errs = append(errs, field.Duplicate(at.Child("nodePort"), port.NodePort))
		} else {
			nodePorts[key] = true
		}
	}
	return errs
}

// validateNamedPort checks what ports of Services and of Endpoints have alike.
func validateNamedPort(name string, nameRequired bool, port int32, protocol corev1.Protocol, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if name != "" {
		errs = append(errs, validateDNSLabel(name, path.Child("name"))...)
	} else if nameRequired {
		errs = append(errs, field.Required(path.Child("name"), ""))
	}
	errs = append(errs, invalid(path.Child("port"), port, validation.IsValidPortNum(int(port)))...)
	return append(errs, validateTransport(protocol, path.Child("protocol"))...)
}

func validateServicePort(port *corev1.ServicePort, nameRequired bool, path *field.Path) field.ErrorList {
	errs := validateNamedPort(port.Name, nameRequired, port.Port, port.Protocol, path)
	target := path.Child("targetPort")
	if port.TargetPort.Type == intstr.Int {
		errs = append(errs, invalid(target, port.TargetPort.IntValue(), validation.IsValidPortNum(port.TargetPort.IntValue()))...)
	} else {
		errs = append(errs, invalid(target, port.TargetPort.StrVal, validation.IsValidPortName(port.TargetPort.StrVal))...)
	}
	return append(errs, validateQualifiedName(port.AppProtocol, path.Child("appProtocol"))...)
}

// validateTransport checks the protocol of a port of a Service or its endpoints.
func validateTransport(protocol corev1.Protocol, path *field.Path) field.ErrorList {
	return validateOneOf(protocol, path, corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP)
}

func validateQualifiedName(name *string, path *field.Path) field.ErrorList {
	if name == nil {
		return nil
	}
	return invalid(path, *name, validation.IsQualifiedName(*name))
}

func validateSessionAffinity(spec *corev1.ServiceSpec) field.ErrorList {
	path := servicePath.Child("sessionAffinityConfig")
	switch spec.SessionAffinity {
	case corev1.ServiceAffinityNone:
		if spec.SessionAffinityConfig != nil {
			return field.ErrorList{field.Forbidden(path, "must not be set when session affinity is None")}
		}
		return nil
	case corev1.ServiceAffinityClientIP:
		if spec.SessionAffinityConfig == nil || spec.SessionAffinityConfig.ClientIP == nil || spec.SessionAffinityConfig.ClientIP.TimeoutSeconds == nil {
			return field.ErrorList{field.Required(path, "when session affinity type is ClientIP")}
		}
		timeout := *spec.SessionAffinityConfig.ClientIP.TimeoutSeconds
		const longest = 86400
		if timeout <= 0 || timeout > longest {
			return field.ErrorList{field.Invalid(path.Child("clientIP", "timeoutSeconds"), timeout, fmt.Sprintf("must be greater than 0 and less than %d", longest))}
		}
		return nil
	}
	return validateOneOf(spec.SessionAffinity, servicePath.Child("sessionAffinity"), corev1.ServiceAffinityClientIP, corev1.ServiceAffinityNone)
}

// validateLoadBalancerFields refuses what only the type LoadBalancer knows.
func validateLoadBalancerFields(spec *corev1.ServiceSpec) field.ErrorList {
	var errs field.ErrorList
	const detail = "may only be used when `type` is 'LoadBalancer'"
	ranges := servicePath.Child("LoadBalancerSourceRanges")
	for i, value := range spec.LoadBalancerSourceRanges {
		errs = append(errs, validation.IsValidCIDR(ranges.Index(i), strings.TrimSpace(value))...)
	}
	class := servicePath.Child("loadBalancerClass")
	if spec.Type == corev1.ServiceTypeLoadBalancer {
		return append(errs, validateQualifiedName(spec.LoadBalancerClass, class)...)
	}
	if len(spec.LoadBalancerSourceRanges) > 0 {
		errs = append(errs, field.Forbidden(ranges, detail))
	}
	if spec.AllocateLoadBalancerNodePorts != nil {
		errs = append(errs, field.Forbidden(servicePath.Child("allocateLoadBalancerNodePorts"), detail))
	}
	if spec.LoadBalancerClass != nil {
		errs = append(errs, field.Forbidden(class, detail))
	}
	return errs
}
