package resource

import (
	"cmp"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

const (
	maxSliceEndpoints = 1000
	maxSlicePorts     = 20000
	maxSliceAddresses = 100
)

func endpointSlice() *Definition {
	return typed[*discoveryv1.EndpointSlice]{
		GVK:        discoveryv1.SchemeGroupVersion.WithKind("EndpointSlice"),
		Plural:     "endpointslices",
		Singular:   "endpointslice",
		Namespaced: true,
		Default:    defaultEndpointSlice,
		SpecChanged: func(s, old *discoveryv1.EndpointSlice) bool {
			return s.AddressType != old.AddressType ||
				!apiequality.Semantic.DeepEqual(s.Endpoints, old.Endpoints) || !apiequality.Semantic.DeepEqual(s.Ports, old.Ports)
		},
		Validate: validateEndpointSlice,
		ValidateUpdate: func(s, old *discoveryv1.EndpointSlice) field.ErrorList {
			errs := validateMetaUpdate(s, old)
			return append(errs, apivalidation.ValidateImmutableField(s.AddressType, old.AddressType, field.NewPath("addressType"))...)
		},
		Warnings:      sliceWarnings,
		WarningsAmong: unused,
		Columns: []metav1.TableColumnDefinition{
			nameColumn(),
			column("AddressType", "string", discoveryv1.EndpointSlice{}.SwaggerDoc()["addressType"]),
			column("Ports", "string", discoveryv1.EndpointSlice{}.SwaggerDoc()["ports"]),
			column("Endpoints", "string", discoveryv1.EndpointSlice{}.SwaggerDoc()["endpoints"]),
			ageColumn(),
		},
		Row: endpointSliceRow,
	}.definition()
}

func defaultEndpointSlice(s *discoveryv1.EndpointSlice) {
	for i := range s.Ports {
		if s.Ports[i].Name == nil {
			s.Ports[i].Name = ptr.To("")
		}
		if s.Ports[i].Protocol == nil {
			s.Ports[i].Protocol = ptr.To(corev1.ProtocolTCP)
		}
	}
}

func validateEndpointSlice(s *discoveryv1.EndpointSlice) field.ErrorList {
	errs := validateMeta(s, true, apivalidation.NameIsDNSSubdomain)
	errs = append(errs, validateOneOf(s.AddressType, field.NewPath("addressType"),
		discoveryv1.AddressTypeFQDN, discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6)...)
	endpoints := field.NewPath("endpoints")
	if len(s.Endpoints) > maxSliceEndpoints {
		errs = append(errs, field.TooMany(endpoints, len(s.Endpoints), maxSliceEndpoints))
	} else {
		for i := range s.Endpoints {
			errs = append(errs, validateSliceEndpoint(&s.Endpoints[i], s.AddressType, endpoints.Index(i))...)
		}
	}
	return append(errs, validateSlicePorts(s.Ports, field.NewPath("ports"))...)
}

func validateSliceEndpoint(e *discoveryv1.Endpoint, kind discoveryv1.AddressType, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	addresses := path.Child("addresses")
	if len(e.Addresses) == 0 {
		errs = append(errs, field.Required(addresses, "must contain at least 1 address"))
	} else if len(e.Addresses) > maxSliceAddresses {
		errs = append(errs, field.TooMany(addresses, len(e.Addresses), maxSliceAddresses))
	}
	for i, address := range e.Addresses {
		errs = append(errs, validateSliceAddress(address, kind, addresses.Index(i))...)
	}
	if e.NodeName != nil {
		errs = append(errs, invalid(path.Child("nodeName"), *e.NodeName, apivalidation.NameIsDNSSubdomain(*e.NodeName, false))...)
	}
	if e.Hostname != nil {
		errs = append(errs, validateDNSLabel(*e.Hostname, path.Child("hostname"))...)
	}
	return errs
}

func validateSliceAddress(address string, kind discoveryv1.AddressType, path *field.Path) field.ErrorList {
	if kind == discoveryv1.AddressTypeFQDN {
		return validation.IsFullyQualifiedDomainName(path, address)
	}
	var errs field.ErrorList
	ip, err := netip.ParseAddr(address)
	switch {
	case kind == discoveryv1.AddressTypeIPv4 && (err != nil || !ip.Is4()):
		errs = append(errs, field.Invalid(path, address, "must be an IPv4 address"))
	case kind == discoveryv1.AddressTypeIPv6 && (err != nil || !ip.Is6()):
		errs = append(errs, field.Invalid(path, address, "must be an IPv6 address"))
	}
	return append(errs, validateOrdinaryIP(address, path)...)
}

func validateSlicePorts(ports []discoveryv1.EndpointPort, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(ports) > maxSlicePorts {
		return append(errs, field.TooMany(path, len(ports), maxSlicePorts))
	}
	names := map[string]bool{}
	for i, port := range ports {
		at, name := path.Index(i), ptr.Deref(port.Name, "")
		if name != "" {
			errs = append(errs, validateDNSLabel(name, at.Child("name"))...)
		}
		if names[name] {
			errs = append(errs, field.Duplicate(at.Child("name"), name))
		}
		names[name] = true
		errs = append(errs, validateTransport(ptr.Deref(port.Protocol, ""), at.Child("protocol"))...)
		if port.Port != nil {
			errs = append(errs, invalid(at.Child("port"), *port.Port, validation.IsValidPortNum(int(*port.Port)))...)
		}
		errs = append(errs, validateQualifiedName(port.AppProtocol, at.Child("appProtocol"))...)
	}
	return errs
}

func endpointSliceRow(s *discoveryv1.EndpointSlice) []any {
	var ports, addresses []string
	for _, p := range s.Ports {
		shown := "*"
		if p.Port != nil {
			shown = strconv.Itoa(int(*p.Port))
		} else if p.Name != nil {
			shown = *p.Name
		}
		ports = append(ports, shown)
	}
	for _, e := range s.Endpoints {
		addresses = append(addresses, e.Addresses...)
	}
	return []any{
		s.Name, string(s.AddressType), cmp.Or(firstOf(ports), "<unset>"), cmp.Or(firstOf(addresses), "<unset>"),
		age(s.CreationTimestamp, time.Now()),
	}
}

func sliceWarnings(s, _ *discoveryv1.EndpointSlice) []string {
	switch {
	case s.AddressType != discoveryv1.AddressTypeIPv4:
		return []string{fmt.Sprintf("addressType: a slice of %s has no effect: skiff forwards to IPv4 addresses only", s.AddressType)}
	case s.Labels[discoveryv1.LabelServiceName] == "":
		return []string{fmt.Sprintf("metadata.labels: without %s the slice belongs to no Service and has no effect", discoveryv1.LabelServiceName)}
	}
	return nil
}

// unused tells a client that keeps a slice of its own when that does not count. The
// Service may come later.
func unused(s *discoveryv1.EndpointSlice, look Lookup) []string {
	service := s.Labels[discoveryv1.LabelServiceName]
	if len(sliceWarnings(s, nil)) > 0 || service == "kubernetes" ||
		s.Labels[discoveryv1.LabelManagedBy] == "endpointslice-controller.k8s.io" {
		return nil
	}
	found, err := look(corev1.SchemeGroupVersion.WithResource("services"), s.Namespace, service)
	if svc, is := found.(*corev1.Service); err == nil && is && len(svc.Spec.Selector) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("endpoints: count only while Service %q has no selector; one that has leads to the Pods that it selects", service)}
}
