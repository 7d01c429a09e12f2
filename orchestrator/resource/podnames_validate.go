package resource

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// As much as a resolv.conf may hold.
const (
	mostNameservers = 3
	mostSearches    = 32
	longestSearches = 2048
)

// validateShares checks what a Pod shares with its machine and among its
// containers.
func validateShares(spec *corev1.PodSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if share := spec.ShareProcessNamespace; share != nil && *share && spec.HostPID {
		errs = append(errs, field.Invalid(path.Child("shareProcessNamespace"), *share, "ShareProcessNamespace and HostPID cannot both be enabled"))
	}
	if !spec.HostNetwork {
		return errs
	}
	for _, list := range []struct {
		name       string
		containers []corev1.Container
	}{{"containers", spec.Containers}, {"initContainers", spec.InitContainers}} {
		for i, c := range list.containers {
			for j, port := range c.Ports {
				if port.HostPort != 0 && port.HostPort != port.ContainerPort {
					at := path.Child(list.name).Index(i).Child("ports").Index(j).Child("hostPort")
					errs = append(errs, field.Invalid(at, port.HostPort, "must match `containerPort` when `hostNetwork` is true"))
				}
			}
		}
	}
	return errs
}

// validateLookups checks what a Pod's files say about names.
func validateLookups(spec *corev1.PodSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, alias := range spec.HostAliases {
		at := path.Child("hostAliases").Index(i)
		errs = append(errs, validation.IsValidIP(at.Child("ip"), alias.IP)...)
		for j, name := range alias.Hostnames {
			errs = append(errs, invalid(at.Child("hostnames").Index(j), name, validation.IsDNS1123Subdomain(name))...)
		}
	}
	if spec.DNSPolicy == corev1.DNSNone && (spec.DNSConfig == nil || len(spec.DNSConfig.Nameservers) == 0) {
		at := path.Child("dnsConfig")
		if spec.DNSConfig == nil {
			return append(errs, field.Required(at, "must provide `dnsConfig` when `dnsPolicy` is None"))
		}
		errs = append(errs, field.Required(at.Child("nameservers"), "must provide at least one DNS nameserver when `dnsPolicy` is None"))
	}
	if spec.DNSConfig != nil {
		errs = append(errs, validateDNSConfig(spec.DNSConfig, path.Child("dnsConfig"))...)
	}
	return errs
}

func validateDNSConfig(c *corev1.PodDNSConfig, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(c.Nameservers) > mostNameservers {
		errs = append(errs, field.Invalid(path.Child("nameservers"), c.Nameservers, "must not have more than 3 nameservers"))
	}
	for i, server := range c.Nameservers {
		errs = append(errs, validation.IsValidIP(path.Child("nameservers").Index(i), server)...)
	}
	if len(c.Searches) > mostSearches {
		errs = append(errs, field.Invalid(path.Child("searches"), c.Searches, "must not have more than 32 search paths"))
	}
	if len(strings.Join(c.Searches, " ")) > longestSearches {
		errs = append(errs, field.Invalid(path.Child("searches"), c.Searches, "must not have more than 2048 characters (including spaces) in the search list"))
	}
	for i, search := range c.Searches {
		errs = append(errs, invalid(path.Child("searches").Index(i), search, checkSearch(search))...)
	}
	for i, option := range c.Options {
		if option.Name == "" {
			errs = append(errs, field.Required(path.Child("options").Index(i), "must not be empty"))
		}
	}
	return errs
}

// checkSearch allows what zones are really called: underscores, a dot at the
// end, and the root alone.
func checkSearch(search string) []string {
	if search == "." {
		return nil
	}
	return validation.IsDNS1123SubdomainWithUnderscore(strings.TrimSuffix(search, "."))
}
