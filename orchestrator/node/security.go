package node

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"skiff/runtime/container"
)

// security says as whom a container runs and what it may do. An error is why
// it must not be started, in the kubelet's words.
func security(pod *corev1.Pod, c *corev1.Container, imageUser string) (container.Security, error) {
	sc := effectiveSecurity(pod, c)
	user, name := parseImageUser(imageUser)
	if err := checkNonRoot(pod, c.Name, sc, user, name); err != nil {
		return container.Security{}, err
	}
	s := container.Security{
		User:               runAs(sc, imageUser),
		Groups:             groups(pod),
		Privileged:         isTrue(sc.Privileged),
		ReadOnlyRoot:       isTrue(sc.ReadOnlyRootFilesystem),
		NoNewPrivileges:    sc.AllowPrivilegeEscalation != nil && !*sc.AllowPrivilegeEscalation,
		SeccompUnconfined:  sc.SeccompProfile != nil && sc.SeccompProfile.Type == corev1.SeccompProfileTypeUnconfined,
		AppArmorUnconfined: sc.AppArmorProfile != nil && sc.AppArmorProfile.Type == corev1.AppArmorProfileTypeUnconfined,
	}
	if caps := sc.Capabilities; caps != nil {
		s.AddCapabilities, s.DropCapabilities = capabilities(caps.Add), capabilities(caps.Drop)
	}
	if o := sc.SELinuxOptions; o != nil {
		s.SELinux = container.SELinux{User: o.User, Role: o.Role, Type: o.Type, Level: o.Level}
	}
	return s, nil
}

// effectiveSecurity is what the container says, and the Pod where it does not.
func effectiveSecurity(pod *corev1.Pod, c *corev1.Container) *corev1.SecurityContext {
	sc := &corev1.SecurityContext{}
	if c.SecurityContext != nil {
		sc = c.SecurityContext.DeepCopy()
	}
	if p := pod.Spec.SecurityContext; p != nil {
		sc.SELinuxOptions = cmp.Or(sc.SELinuxOptions, p.SELinuxOptions)
		sc.RunAsUser = cmp.Or(sc.RunAsUser, p.RunAsUser)
		sc.RunAsGroup = cmp.Or(sc.RunAsGroup, p.RunAsGroup)
		sc.RunAsNonRoot = cmp.Or(sc.RunAsNonRoot, p.RunAsNonRoot)
		sc.SeccompProfile = cmp.Or(sc.SeccompProfile, p.SeccompProfile)
		sc.AppArmorProfile = cmp.Or(sc.AppArmorProfile, p.AppArmorProfile)
	}
	return sc
}

// runAs is the user in the engine's form. Where only a group is given, the user
// stays the image's.
func runAs(sc *corev1.SecurityContext, imageUser string) string {
	user := ""
	switch {
	case sc.RunAsUser != nil:
		user = strconv.FormatInt(*sc.RunAsUser, 10)
	case sc.RunAsGroup != nil:
		user, _, _ = strings.Cut(imageUser, ":")
		user = cmp.Or(user, "0")
	}
	if sc.RunAsGroup != nil {
		user += ":" + strconv.FormatInt(*sc.RunAsGroup, 10)
	}
	return user
}

// parseImageUser tells an image's user by number, or by name where it has one.
func parseImageUser(user string) (uid *int64, name string) {
	user, _, _ = strings.Cut(user, ":")
	if user == "" {
		return new(int64), ""
	}
	if n, err := strconv.ParseInt(user, 10, 64); err == nil {
		return &n, ""
	}
	return nil, user
}

func checkNonRoot(pod *corev1.Pod, container string, sc *corev1.SecurityContext, uid *int64, name string) error {
	refuse := func(why string) error {
		return fmt.Errorf("%s (pod: %q, container: %s)", why, podName(pod), container)
	}
	switch {
	case !isTrue(sc.RunAsNonRoot):
		return nil
	case sc.RunAsUser != nil && *sc.RunAsUser == 0:
		return refuse("container's runAsUser breaks non-root policy")
	case sc.RunAsUser != nil:
		return nil
	case uid == nil:
		return refuse("container has runAsNonRoot and image has non-numeric user (" + name + "), cannot verify user is non-root")
	case *uid == 0:
		return refuse("container has runAsNonRoot and image will run as root")
	}
	return nil
}

// groups are those that the Pod's processes belong to besides their own.
func groups(pod *corev1.Pod) []string {
	sc := pod.Spec.SecurityContext
	if sc == nil {
		return nil
	}
	var out []string
	if sc.FSGroup != nil {
		out = append(out, strconv.FormatInt(*sc.FSGroup, 10))
	}
	for _, g := range sc.SupplementalGroups {
		out = append(out, strconv.FormatInt(g, 10))
	}
	return out
}

// capabilities are upper case and without the kernel's prefix, whichever way
// they are written.
func capabilities(list []corev1.Capability) []string {
	var out []string
	for _, c := range list {
		out = append(out, strings.TrimPrefix(strings.ToUpper(string(c)), "CAP_"))
	}
	return out
}

// sysctls are the Pod's kernel parameters. They belong to whoever owns its
// namespaces.
func sysctls(pod *corev1.Pod) map[string]string {
	if pod.Spec.SecurityContext == nil || len(pod.Spec.SecurityContext.Sysctls) == 0 {
		return nil
	}
	out := map[string]string{}
	for _, s := range pod.Spec.SecurityContext.Sysctls {
		out[strings.ReplaceAll(s.Name, "/", ".")] = s.Value
	}
	return out
}

func isTrue(b *bool) bool { return b != nil && *b }
