package check

import (
	"fmt"
	"strings"

	"github.com/distribution/reference"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// note is something that would be different on a cluster.
type note struct {
	path *field.Path
	text string
}

var specPath = field.NewPath("spec")

func onCluster(obj runtime.Object) []note {
	template := specPath.Child("template", "spec")
	switch o := obj.(type) {
	case *corev1.Service:
		return serviceNotes(o)
	case *corev1.Pod:
		return append([]note{{field.NewPath("kind"), "a Pod without a Deployment is not replaced when its node goes"}}, podNotes(&o.Spec, specPath)...)
	case *appsv1.ReplicaSet:
		return podNotes(&o.Spec.Template.Spec, template)
	case *appsv1.Deployment:
		return append(deploymentNotes(o), podNotes(&o.Spec.Template.Spec, template)...)
	}
	return nil
}

func serviceNotes(svc *corev1.Service) []note {
	at := specPath.Child("type")
	switch svc.Spec.Type {
	case corev1.ServiceTypeLoadBalancer:
		return []note{{at, "here it listens on the loopback address; a cluster gives it an address that others can reach"}}
	case corev1.ServiceTypeNodePort:
		return []note{{at, "here it listens on the loopback address; on a cluster on every address of every node"}}
	}
	return nil
}

func deploymentNotes(d *appsv1.Deployment) []note {
	var notes []note
	if d.Spec.Replicas != nil && *d.Spec.Replicas == 1 {
		notes = append(notes, note{specPath.Child("replicas"), "with one replica, a node that is drained or fails is an outage"})
	}
	if d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		notes = append(notes, note{specPath.Child("strategy", "type"), "here requests wait during an update; on a cluster they fail"})
	}
	return notes
}

func podNotes(spec *corev1.PodSpec, path *field.Path) []note {
	var notes []note
	for i := range spec.Containers {
		at := path.Child("containers").Index(i)
		notes = append(notes, containerNotes(&spec.Containers[i], at)...)
		notes = append(notes, hostPortNotes(spec.HostNetwork, &spec.Containers[i], at)...)
	}
	for i, v := range spec.Volumes {
		if v.HostPath != nil {
			notes = append(notes, note{path.Child("volumes").Index(i).Child("hostPath"), "it is a folder of whichever node the Pod is on; data that is to stay with it needs a PersistentVolumeClaim"})
		}
	}
	return notes
}

func containerNotes(c *corev1.Container, path *field.Path) []note {
	notes := imageNotes(c, path)
	// Without a port it serves nobody through a Service.
	if len(c.Ports) > 0 && c.ReadinessProbe == nil {
		notes = append(notes, note{path, "without a readinessProbe requests reach it as soon as it starts"})
	}
	if len(c.Ports) > 0 && (c.Lifecycle == nil || c.Lifecycle.PreStop == nil || c.Lifecycle.PreStop.TCPSocket != nil) {
		notes = append(notes, note{path, "it gets SIGTERM while requests still arrive, unless it has preStop: {sleep: {seconds: 5}}"})
	}
	if len(c.Resources.Requests) == 0 {
		notes = append(notes, note{path, "without resources.requests it is placed on any node and the first to be evicted"})
	}
	return notes
}

// hostPortNotes: in the machine's own network nobody forwards to a Pod, which listens
// on whichever addresses it likes.
func hostPortNotes(hostNetwork bool, c *corev1.Container, path *field.Path) []note {
	const oneWaits = "Of two Pods with it, one waits: an update needs maxUnavailable of at least 1, or strategy type Recreate"
	text := "here it is a port of the loopback address; on a cluster it is one of every address of the Pod's node. " + oneWaits
	if hostNetwork {
		text = "here it is a port of this machine, on a cluster of the Pod's node. " + oneWaits
	}
	var notes []note
	for i, p := range c.Ports {
		if p.HostPort > 0 {
			notes = append(notes, note{path.Child("ports").Index(i).Child("hostPort"), text})
		}
	}
	return notes
}

func imageNotes(c *corev1.Container, path *field.Path) []note {
	named, err := reference.ParseNormalizedNamed(c.Image)
	if err != nil {
		return nil
	}
	var notes []note
	at := path.Child("image")
	if c.ImagePullPolicy == corev1.PullNever {
		notes = append(notes, note{path.Child("imagePullPolicy"), "nodes do not have images of their own"})
	} else if !strings.HasPrefix(c.Image, named.Name()) { // which registry is not said
		notes = append(notes, note{at, fmt.Sprintf("it is pulled from %s; an image of your own must be pushed to a registry", named.Name())})
	}
	tagged, isTagged := reference.TagNameOnly(named).(reference.Tagged)
	if _, digested := named.(reference.Digested); !digested && isTagged && tagged.Tag() == "latest" {
		notes = append(notes, note{at, "what :latest is changes from pull to pull, so that undo may not bring back what ran before; name a version"})
	}
	return notes
}
