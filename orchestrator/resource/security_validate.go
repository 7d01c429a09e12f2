package resource

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validateSecurity checks the security contexts of a Pod and its containers.
func validateSecurity(spec *corev1.PodSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if spec.SecurityContext != nil {
		errs = append(errs, validatePodSecurity(spec, path.Child("securityContext"))...)
	}
	errs = append(errs, validateStrict(spec, path.Child("securityContext", "supplementalGroupsPolicy"))...)
	for i := range spec.InitContainers {
		errs = append(errs, validateContainerSecurity(spec, &spec.InitContainers[i], path.Child("initContainers").Index(i).Child("securityContext"))...)
	}
	for i := range spec.Containers {
		errs = append(errs, validateContainerSecurity(spec, &spec.Containers[i], path.Child("containers").Index(i).Child("securityContext"))...)
	}
	return errs
}

// validateStrict refuses to keep an image's groups out where the engine would put
// them in: it does so unless it is told the user's own group.
func validateStrict(spec *corev1.PodSpec, path *field.Path) field.ErrorList {
	pod := spec.SecurityContext
	if pod == nil || pod.SupplementalGroupsPolicy == nil || *pod.SupplementalGroupsPolicy != corev1.SupplementalGroupsPolicyStrict || pod.RunAsGroup != nil {
		return nil
	}
	for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
		if c.SecurityContext == nil || c.SecurityContext.RunAsGroup == nil {
			return field.ErrorList{field.Forbidden(path, fmt.Sprintf(
				"Strict is not supported by skiff without runAsGroup, which container %q does not have: the Docker Engine would add the image's groups", c.Name))}
		}
	}
	return nil
}

func validatePodSecurity(spec *corev1.PodSpec, path *field.Path) field.ErrorList {
	sc := spec.SecurityContext
	errs := validateIDs(sc.RunAsUser, sc.RunAsGroup, path)
	if sc.FSGroup != nil {
		errs = append(errs, invalid(path.Child("fsGroup"), *sc.FSGroup, validation.IsValidGroupID(*sc.FSGroup))...)
	}
	for i, group := range sc.SupplementalGroups {
		errs = append(errs, invalid(path.Child("supplementalGroups").Index(i), group, validation.IsValidGroupID(group))...)
	}
	if p := sc.FSGroupChangePolicy; p != nil {
		errs = append(errs, validateOneOf(*p, path.Child("fsGroupChangePolicy"), corev1.FSGroupChangeAlways, corev1.FSGroupChangeOnRootMismatch)...)
	}
	if p := sc.SupplementalGroupsPolicy; p != nil {
		errs = append(errs, validateOneOf(*p, path.Child("supplementalGroupsPolicy"),
			corev1.SupplementalGroupsPolicyMerge, corev1.SupplementalGroupsPolicyStrict)...)
	}
	errs = append(errs, validateSysctls(spec, path.Child("sysctls"))...)
	return append(errs, validateProfiles(sc.SeccompProfile, sc.AppArmorProfile, path)...)
}

func validateContainerSecurity(spec *corev1.PodSpec, c *corev1.Container, path *field.Path) field.ErrorList {
	sc := c.SecurityContext
	if sc == nil {
		return nil
	}
	errs := validateIDs(sc.RunAsUser, sc.RunAsGroup, path)
	if m := sc.ProcMount; m != nil {
		errs = append(errs, validateOneOf(*m, path.Child("procMount"), corev1.DefaultProcMount, corev1.UnmaskedProcMount)...)
		if *m == corev1.UnmaskedProcMount && (spec.HostUsers == nil || *spec.HostUsers) {
			errs = append(errs, field.Invalid(path.Child("procMount"), *m, "`hostUsers` must be false to use `Unmasked`"))
		}
	}
	errs = append(errs, validateProfiles(sc.SeccompProfile, sc.AppArmorProfile, path)...)
	if sc.AllowPrivilegeEscalation == nil || *sc.AllowPrivilegeEscalation {
		return errs
	}
	if sc.Privileged != nil && *sc.Privileged {
		errs = append(errs, field.Invalid(path, sc, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"))
	}
	if sc.Capabilities != nil && slices.Contains(sc.Capabilities.Add, "CAP_SYS_ADMIN") {
		errs = append(errs, field.Invalid(path, sc, "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"))
	}
	return errs
}

func validateIDs(user, group *int64, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if user != nil {
		errs = append(errs, invalid(path.Child("runAsUser"), *user, validation.IsValidUserID(*user))...)
	}
	if group != nil {
		errs = append(errs, invalid(path.Child("runAsGroup"), *group, validation.IsValidGroupID(*group))...)
	}
	return errs
}

// validateProfiles checks that exactly the type that needs a profile of the node
// names one.
func validateProfiles(seccomp *corev1.SeccompProfile, appArmor *corev1.AppArmorProfile, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if seccomp != nil {
		errs = append(errs, validateProfile("seccomp", string(seccomp.Type), seccomp.LocalhostProfile, path.Child("seccompProfile"))...)
	}
	if appArmor != nil {
		errs = append(errs, validateProfile("AppArmor", string(appArmor.Type), appArmor.LocalhostProfile, path.Child("appArmorProfile"))...)
	}
	return errs
}

func validateProfile(kind, profile string, local *string, path *field.Path) field.ErrorList {
	const localhost = "Localhost"
	errs := validateOneOf(profile, path.Child("type"), localhost, "RuntimeDefault", "Unconfined")
	switch {
	case profile == localhost && (local == nil || *local == ""):
		errs = append(errs, field.Required(path.Child("localhostProfile"), "must be set when "+kind+" type is Localhost"))
	case profile == localhost && kind == "seccomp":
		errs = append(errs, validateBelow(*local, path.Child("localhostProfile"))...)
	case profile != localhost && local != nil:
		errs = append(errs, field.Invalid(path.Child("localhostProfile"), *local, "can only be set when "+kind+" type is Localhost"))
	}
	return errs
}

// validateBelow checks that a path leads down.
func validateBelow(p string, path *field.Path) field.ErrorList {
	switch {
	case strings.HasPrefix(p, "/"):
		return field.ErrorList{field.Invalid(path, p, "must be a relative path")}
	case slices.Contains(strings.Split(p, "/"), ".."):
		return field.ErrorList{field.Invalid(path, p, "must not contain '..'")}
	}
	return nil
}

// sysctlName is a name with dots or slashes between its parts.
var sysctlName = regexp.MustCompile(`^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$`)

func validateSysctls(spec *corev1.PodSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := map[string]bool{}
	for i, s := range spec.SecurityContext.Sysctls {
		at, name := path.Index(i).Child("name"), dotted(s.Name)
		switch {
		case s.Name == "":
			errs = append(errs, field.Required(at, ""))
		case len(s.Name) > 253 || !sysctlName.MatchString(s.Name):
			errs = append(errs, field.Invalid(at, s.Name, "must have at most 253 characters and match regex "+sysctlName.String()))
		case seen[name]:
			errs = append(errs, field.Duplicate(at, s.Name))
		case !namespaced(name):
			errs = append(errs, field.Forbidden(at, "not supported by skiff: the parameter belongs to the whole machine"))
		case spec.HostNetwork && strings.HasPrefix(name, "net."):
			errs = append(errs, field.Invalid(at, s.Name, "may not be set with 'hostNetwork' enabled"))
		case spec.HostIPC && !strings.HasPrefix(name, "net."):
			errs = append(errs, field.Invalid(at, s.Name, "may not be set with 'hostIPC' enabled"))
		}
		seen[name] = true
	}
	return errs
}

func dotted(sysctl string) string { return strings.ReplaceAll(sysctl, "/", ".") }

// namespaced says whether each Pod has its own value of a kernel parameter.
func namespaced(name string) bool {
	for _, prefix := range []string{"net.", "kernel.shm", "kernel.msg", "fs.mqueue."} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return name == "kernel.sem"
}

// safeSysctls are those that every kubelet allows.
var safeSysctls = []string{
	"kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range",
	"net.ipv4.ip_unprivileged_port_start", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time",
	"net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes",
	"net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
}

// warnSELinux speaks up for where the engine passes labels over; whether this one
// does is known when a container starts, and an event says so.
func warnSELinux(spec *corev1.PodSpec, path *field.Path) []string {
	var warnings []string
	warn := func(o *corev1.SELinuxOptions, at *field.Path) {
		if o != nil && *o != (corev1.SELinuxOptions{}) {
			warnings = append(warnings, at.Child("securityContext", "seLinuxOptions").String()+" has no effect unless the container engine uses SELinux")
		}
	}
	if sc := spec.SecurityContext; sc != nil {
		warn(sc.SELinuxOptions, path)
	}
	check := func(containers []corev1.Container, path *field.Path) {
		for i, c := range containers {
			if c.SecurityContext != nil {
				warn(c.SecurityContext.SELinuxOptions, path.Index(i))
			}
		}
	}
	check(spec.InitContainers, path.Child("initContainers"))
	check(spec.Containers, path.Child("containers"))
	return warnings
}

// warnSysctls names what a cluster allows only where its nodes are told so.
func warnSysctls(spec *corev1.PodSpec, path *field.Path) []string {
	if spec.SecurityContext == nil {
		return nil
	}
	var warnings []string
	for i, s := range spec.SecurityContext.Sysctls {
		if !slices.Contains(safeSysctls, dotted(s.Name)) {
			warnings = append(warnings, path.Child("securityContext", "sysctls").Index(i).String()+
				": a cluster's nodes refuse "+s.Name+" unless they are told to allow it (--allowed-unsafe-sysctls)")
		}
	}
	return warnings
}
