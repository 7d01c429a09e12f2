package resource

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// podWarnings speaks up where somebody writes a Pod. The author of one that a
// controller makes was told when the template was written.
func podWarnings(p, old *corev1.Pod) []string {
	if !podWritten(p, old) {
		return nil
	}
	warnings := warnName(p.Name, "this is used in the Pod's hostname")
	return append(warnings, warnPodSpec(&p.ObjectMeta, asWritten(&p.Spec), nil)...)
}

// replicaSetWarnings, too, leaves those that a controller makes alone.
func replicaSetWarnings(rs, old *appsv1.ReplicaSet) []string {
	if !setWritten(rs, old) {
		return nil
	}
	return warnPodSpec(&rs.Spec.Template.ObjectMeta, &rs.Spec.Template.Spec, field.NewPath("spec", "template"))
}

// deploymentWarnings speaks up when the template or the strategy is written,
// and not again with each change of the scale.
func deploymentWarnings(d, old *appsv1.Deployment) []string {
	if !deploymentWritten(d, old) && apiequality.Semantic.DeepEqual(d.Spec.Strategy, old.Spec.Strategy) {
		return nil
	}
	path := field.NewPath("spec", "template")
	warnings := warnName(d.Name, "this is used in Pod names and hostnames")
	warnings = append(warnings, warnPodSpec(&d.Spec.Template.ObjectMeta, &d.Spec.Template.Spec, path)...)
	warnings = append(warnings, warnSharedPaths(d, path.Child("spec", "volumes"))...)
	return append(warnings, warnSharedClaims(d, path.Child("spec", "volumes"))...)
}

// Whether somebody, and no controller, has just written the Pod or the template.
func podWritten(p, old *corev1.Pod) bool { return old == nil && metav1.GetControllerOf(p) == nil }

func setWritten(rs, old *appsv1.ReplicaSet) bool {
	return metav1.GetControllerOf(rs) == nil && (old == nil || !apiequality.Semantic.DeepEqual(rs.Spec.Template, old.Spec.Template))
}

func deploymentWritten(d, old *appsv1.Deployment) bool {
	return old == nil || !apiequality.Semantic.DeepEqual(d.Spec.Template, old.Spec.Template)
}

// What of it has no effect.
func podIneffective(p, old *corev1.Pod) []string {
	if !podWritten(p, old) {
		return nil
	}
	return ineffective(asWritten(&p.Spec), field.NewPath("spec"))
}

func replicaSetIneffective(rs, old *appsv1.ReplicaSet) []string {
	if !setWritten(rs, old) {
		return nil
	}
	return ineffective(&rs.Spec.Template.Spec, field.NewPath("spec", "template", "spec"))
}

func deploymentIneffective(d, old *appsv1.Deployment) []string {
	if !deploymentWritten(d, old) {
		return nil
	}
	return ineffective(&d.Spec.Template.Spec, field.NewPath("spec", "template", "spec"))
}

func warnName(name, use string) []string {
	if msgs := validation.IsDNS1123Label(name); len(msgs) > 0 {
		return []string{fmt.Sprintf("metadata.name: %s, which can result in surprising behavior; a DNS label is recommended: %v", use, msgs)}
	}
	return nil
}

// warnPodSpec lists what is likely to be a mistake, or has no effect, in the
// Pod spec of the object at path.
func warnPodSpec(meta *metav1.ObjectMeta, spec *corev1.PodSpec, path *field.Path) []string {
	warnings := warnIgnored(spec, path.Child("spec"))
	warnings = append(warnings, warnSELinux(spec, path.Child("spec"))...)
	warnings = append(warnings, warnSysctls(spec, path.Child("spec"))...)
	warnings = append(warnings, warnFractions(spec, path.Child("spec"))...)
	warnings = append(warnings, warnHooks(spec, path.Child("spec"))...)
	warnings = append(warnings, warnAnnotations(meta.Annotations, path.Child("metadata", "annotations"))...)
	containers := path.Child("spec", "containers")
	warnings = append(warnings, warnPorts(spec.Containers, containers)...)
	for i, c := range spec.Containers {
		warnings = append(warnings, warnEnv(c.Env, containers.Index(i).Child("env"))...)
		warnings = append(warnings, warnPortNames(&c, containers.Index(i))...)
	}
	return warnings
}

// warnFractions finds amounts of bytes that are none: "500m" is half a byte, and
// was meant to be 500Mi.
func warnFractions(spec *corev1.PodSpec, path *field.Path) []string {
	var warnings []string
	check := func(containers []corev1.Container, path *field.Path) {
		for i, c := range containers {
			at := path.Index(i).Child("resources")
			for _, part := range []struct {
				list corev1.ResourceList
				at   *field.Path
			}{{c.Resources.Requests, at.Child("requests")}, {c.Resources.Limits, at.Child("limits")}} {
				for _, name := range []corev1.ResourceName{corev1.ResourceMemory, corev1.ResourceEphemeralStorage} {
					if q := part.list[name]; q.MilliValue()%1000 != 0 {
						warnings = append(warnings, fmt.Sprintf("%s: fractional byte value %q is invalid, must be an integer", part.at.Key(string(name)), q.String()))
					}
				}
			}
		}
	}
	check(spec.InitContainers, path.Child("initContainers"))
	check(spec.Containers, path.Child("containers"))
	return warnings
}

// warnHooks finds those of a kind that the API has kept and that nobody runs.
func warnHooks(spec *corev1.PodSpec, path *field.Path) []string {
	var warnings []string
	check := func(h *corev1.LifecycleHandler, at *field.Path, outcome string) {
		if h != nil && h.TCPSocket != nil {
			warnings = append(warnings, fmt.Sprintf("%s: such a hook fails whenever it runs, in Kubernetes as in skiff, and %s", at.Child("tcpSocket"), outcome))
		}
	}
	all := func(containers []corev1.Container, path *field.Path) {
		for i, c := range containers {
			if at := path.Index(i).Child("lifecycle"); c.Lifecycle != nil {
				check(c.Lifecycle.PostStart, at.Child("postStart"), "its container is ended")
				check(c.Lifecycle.PreStop, at.Child("preStop"), "its container ends without it")
			}
		}
	}
	all(spec.InitContainers, path.Child("initContainers"))
	all(spec.Containers, path.Child("containers"))
	return warnings
}

// warnAnnotations names the annotations that configured security profiles before
// there were fields for them.
func warnAnnotations(annotations map[string]string, path *field.Path) []string {
	const apparmor, seccomp = "container.apparmor.security.beta.kubernetes.io/", "seccomp.security.alpha.kubernetes.io"
	var warnings []string
	for key := range annotations {
		switch {
		case strings.HasPrefix(key, apparmor):
			warnings = append(warnings, fmt.Sprintf("%s has no effect: use the field appArmorProfile instead", path.Key(key)))
		case strings.Contains(key, seccomp):
			warnings = append(warnings, fmt.Sprintf("%s has no effect: use the field seccompProfile instead, as in Kubernetes since 1.27", path.Key(key)))
		}
	}
	sort.Strings(warnings)
	return warnings
}

// warnPorts finds ports that two containers of the Pod, which share their
// network, claim.
func warnPorts(containers []corev1.Container, path *field.Path) []string {
	var warnings []string
	seen := map[string]*field.Path{}
	for i, c := range containers {
		for j, port := range c.Ports {
			at := path.Index(i).Child("ports").Index(j)
			key := fmt.Sprintf("%d/%s", port.ContainerPort, port.Protocol)
			if first, ok := seen[key]; ok {
				warnings = append(warnings, fmt.Sprintf("%s: duplicate port definition with %s", at, first))
				continue
			}
			seen[key] = at
		}
	}
	return warnings
}

// warnEnv finds variables that are set twice, other than to extend the value
// set before.
func warnEnv(env []corev1.EnvVar, path *field.Path) []string {
	var warnings []string
	seen := map[string]bool{}
	for i, v := range env {
		self := "$(" + v.Name + ")"
		extends := v.ValueFrom == nil && v.Value != self && strings.Contains(v.Value, self)
		if seen[v.Name] && !extends {
			warnings = append(warnings, fmt.Sprintf("%s: hides previous definition of %q, which may be dropped when using apply", path.Index(i), v.Name))
		}
		seen[v.Name] = true
	}
	return warnings
}

// warnPortNames finds probes and hooks that ask for a port by a name that no
// port of their container has: they can only fail.
func warnPortNames(c *corev1.Container, path *field.Path) []string {
	var warnings []string
	check := func(at *field.Path, get *corev1.HTTPGetAction, socket *corev1.TCPSocketAction) {
		var port intstr.IntOrString
		switch {
		case get != nil:
			at, port = at.Child("httpGet", "port"), get.Port
		case socket != nil:
			at, port = at.Child("tcpSocket", "port"), socket.Port
		}
		named := slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.Name == port.StrVal })
		if port.Type == intstr.String && !named {
			warnings = append(warnings, fmt.Sprintf("%s: the container has no port that is named %q", at, port.StrVal))
		}
	}
	probes := []struct {
		name  string
		probe *corev1.Probe
	}{{"livenessProbe", c.LivenessProbe}, {"readinessProbe", c.ReadinessProbe}, {"startupProbe", c.StartupProbe}}
	for _, p := range probes {
		if p.probe != nil {
			check(path.Child(p.name), p.probe.HTTPGet, p.probe.TCPSocket)
		}
	}
	if l := c.Lifecycle; l != nil && l.PostStart != nil {
		check(path.Child("lifecycle", "postStart"), l.PostStart.HTTPGet, nil)
	}
	if l := c.Lifecycle; l != nil && l.PreStop != nil {
		check(path.Child("lifecycle", "preStop"), l.PreStop.HTTPGet, nil)
	}
	return warnings
}

// warnSharedPaths finds directories of the host that the old and the new Pods
// of a rolling update would write at the same time.
func warnSharedPaths(d *appsv1.Deployment, path *field.Path) []string {
	if d.Spec.Strategy.Type != appsv1.RollingUpdateDeploymentStrategyType {
		return nil
	}
	var warnings []string
	spec := &d.Spec.Template.Spec
	for i, v := range spec.Volumes {
		if v.HostPath != nil && holdsData(v.HostPath) && writable(spec, v.Name) {
			warnings = append(warnings, fmt.Sprintf("%s: %q is mounted by the old and the new Pod at once during a rolling update; "+
				"a database needs strategy type Recreate", path.Index(i), v.Name))
		}
	}
	return warnings
}

// warnSharedClaims finds claims that the old and the new Pods of a rolling
// update would write at the same time.
func warnSharedClaims(d *appsv1.Deployment, path *field.Path) []string {
	if d.Spec.Strategy.Type != appsv1.RollingUpdateDeploymentStrategyType {
		return nil
	}
	var warnings []string
	for i, v := range d.Spec.Template.Spec.Volumes {
		if WritesClaim(&d.Spec.Template.Spec, v) {
			warnings = append(warnings, fmt.Sprintf("%s: claim %q is written by the old and the new Pods: unless its access mode is ReadWriteMany, "+
				"an update ends the old Pods before it starts new ones, as with strategy type Recreate", path.Index(i), v.PersistentVolumeClaim.ClaimName))
		}
	}
	return warnings
}

// WritesClaim says whether containers may write to a volume that is a claim.
func WritesClaim(spec *corev1.PodSpec, v corev1.Volume) bool {
	return v.PersistentVolumeClaim != nil && !v.PersistentVolumeClaim.ReadOnly && writable(spec, v.Name)
}

// holdsData is false for sockets and devices, which are there to be shared.
func holdsData(h *corev1.HostPathVolumeSource) bool {
	shared := []corev1.HostPathType{corev1.HostPathSocket, corev1.HostPathCharDev, corev1.HostPathBlockDev}
	return h.Type == nil || !slices.Contains(shared, *h.Type)
}

func writable(spec *corev1.PodSpec, volume string) bool {
	return slices.ContainsFunc(spec.Containers, func(c corev1.Container) bool {
		return slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool {
			return m.Name == volume && !m.ReadOnly
		})
	})
}
