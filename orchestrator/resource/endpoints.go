package resource

//lint:file-ignore SA1019 Endpoints are served because clients still read them.

import (
	"cmp"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func endpoints() *Definition {
	return typed[*corev1.Endpoints]{
		GVK:        corev1.SchemeGroupVersion.WithKind("Endpoints"),
		Plural:     "endpoints",
		Singular:   "endpoints",
		ShortNames: []string{"ep"},
		Namespaced: true,
		Default:    defaultEndpoints,
		Validate:   validateEndpoints,
		ValidateUpdate: func(e, old *corev1.Endpoints) field.ErrorList {
			return validateMetaUpdate(e, old)
		},
		Columns: []metav1.TableColumnDefinition{
			nameColumn(),
			column("Endpoints", "string", corev1.Endpoints{}.SwaggerDoc()["subsets"]),
			ageColumn(),
		},
		Row: func(e *corev1.Endpoints) []any {
			return []any{e.Name, endpointsCell(e.Subsets), age(e.CreationTimestamp, time.Now())}
		},
	}.definition()
}

func defaultEndpoints(e *corev1.Endpoints) {
	for i := range e.Subsets {
		for j := range e.Subsets[i].Ports {
			if port := &e.Subsets[i].Ports[j]; port.Protocol == "" {
				port.Protocol = corev1.ProtocolTCP
			}
		}
	}
}

func validateEndpoints(e *corev1.Endpoints) field.ErrorList {
	errs := validateMeta(e, true, apivalidation.NameIsDNSSubdomain)
	for i := range e.Subsets {
		subset, path := &e.Subsets[i], field.NewPath("subsets").Index(i)
		if len(subset.Addresses) == 0 && len(subset.NotReadyAddresses) == 0 {
			errs = append(errs, field.Required(path, "must specify `addresses` or `notReadyAddresses`"))
		}
		for j := range subset.Addresses {
			errs = append(errs, validateEndpointAddress(&subset.Addresses[j], path.Child("addresses").Index(j))...)
		}
		for j := range subset.NotReadyAddresses {
			errs = append(errs, validateEndpointAddress(&subset.NotReadyAddresses[j], path.Child("notReadyAddresses").Index(j))...)
		}
		for j := range subset.Ports {
			errs = append(errs, validateEndpointPort(&subset.Ports[j], len(subset.Ports) > 1, path.Child("ports").Index(j))...)
		}
	}
	return errs
}

func validateEndpointAddress(address *corev1.EndpointAddress, path *field.Path) field.ErrorList {
	errs := validation.IsValidIP(path.Child("ip"), address.IP)
	if address.Hostname != "" {
		errs = append(errs, validateDNSLabel(address.Hostname, path.Child("hostname"))...)
	}
	if address.NodeName != nil {
		errs = append(errs, invalid(path.Child("nodeName"), *address.NodeName, apivalidation.NameIsDNSSubdomain(*address.NodeName, false))...)
	}
	return append(errs, validateOrdinaryIP(address.IP, path.Child("ip"))...)
}

// validateOrdinaryIP refuses addresses that lead elsewhere for every sender.
func validateOrdinaryIP(address string, path *field.Path) field.ErrorList {
	ip := net.ParseIP(address)
	var detail string
	switch {
	case ip == nil:
		detail = "must be a valid IP address"
	case ip.IsUnspecified():
		detail = fmt.Sprintf("may not be unspecified (%v)", address)
	case ip.IsLoopback():
		detail = "may not be in the loopback range (127.0.0.0/8, ::1/128)"
	case ip.IsLinkLocalUnicast():
		detail = "may not be in the link-local range (169.254.0.0/16, fe80::/10)"
	case ip.IsLinkLocalMulticast():
		detail = "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"
	default:
		return nil
	}
	return field.ErrorList{field.Invalid(path, address, detail)}
}

func validateEndpointPort(port *corev1.EndpointPort, nameRequired bool, path *field.Path) field.ErrorList {
	errs := validateNamedPort(port.Name, nameRequired, port.Port, port.Protocol, path)
	return append(errs, validateQualifiedName(port.AppProtocol, path.Child("appProtocol"))...)
}

func endpointsCell(subsets []corev1.EndpointSubset) string {
	var all []string
	for _, subset := range subsets {
		for _, address := range subset.Addresses {
			if len(subset.Ports) == 0 {
				all = append(all, address.IP)
			}
		}
		for _, port := range subset.Ports {
			for _, address := range subset.Addresses {
				all = append(all, net.JoinHostPort(address.IP, strconv.Itoa(int(port.Port))))
			}
		}
	}
	return cmp.Or(firstOf(all), "<none>")
}

// firstOf shows at most three of the values and how many there are besides.
func firstOf(values []string) string {
	const most = 3
	if len(values) <= most {
		return strings.Join(values, ",")
	}
	return fmt.Sprintf("%s + %d more...", strings.Join(values[:most], ","), len(values)-most)
}
