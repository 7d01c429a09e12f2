package apiserver

import (
	"maps"
	"slices"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// subresource is what lies below an object's path.
type subresource struct {
	kind  schema.GroupVersionKind // of its bodies
	verbs map[string]handler
}

func (s *subresource) verbNames() []string { return slices.Sorted(maps.Keys(s.verbs)) }

func (k *kind) subresourceNames() []string { return slices.Sorted(maps.Keys(k.subresources)) }

func subresourcesOf(k *kind) map[string]*subresource {
	all := map[string]*subresource{}
	if k.PrepareStatus != nil {
		all["status"] = &subresource{kind: k.GVK, verbs: map[string]handler{
			"get": (*Server).get, "update": (*Server).updateStatus, "patch": (*Server).patchStatus,
		}}
	}
	if k.PrepareEphemeral != nil {
		all["ephemeralcontainers"] = &subresource{kind: k.GVK, verbs: map[string]handler{
			"get": (*Server).get, "update": (*Server).updateEphemeral, "patch": (*Server).patchEphemeral,
		}}
	}
	if k.Scale != nil {
		all["scale"] = &subresource{kind: scaleGVK, verbs: map[string]handler{
			"get": (*Server).getScale, "update": (*Server).updateScale, "patch": (*Server).patchScale,
		}}
	}
	switch k.GVK {
	case corev1.SchemeGroupVersion.WithKind("Pod"):
		all["log"] = &subresource{kind: k.GVK, verbs: map[string]handler{"get": (*Server).podLog}}
		all["exec"] = session(corev1.SchemeGroupVersion.WithKind("PodExecOptions"), (*Server).podExec)
		all["attach"] = session(corev1.SchemeGroupVersion.WithKind("PodAttachOptions"), (*Server).podAttach)
		all["portforward"] = session(corev1.SchemeGroupVersion.WithKind("PodPortForwardOptions"), (*Server).podPortForward)
		all["eviction"] = &subresource{kind: evictionGVK, verbs: map[string]handler{"create": (*Server).evict}}
		all["binding"] = &subresource{kind: bindingGVK, verbs: map[string]handler{"create": (*Server).bind}}
	case corev1.SchemeGroupVersion.WithKind("ServiceAccount"):
		all["token"] = &subresource{kind: tokenGVK, verbs: map[string]handler{"create": (*Server).createToken}}
	case corev1.SchemeGroupVersion.WithKind("Namespace"):
		all["finalize"] = &subresource{kind: k.GVK, verbs: map[string]handler{"update": (*Server).finalize}}
	}
	return all
}

// session is opened by GET from WebSocket clients and by POST from others.
func session(kind schema.GroupVersionKind, open handler) *subresource {
	return &subresource{kind: kind, verbs: map[string]handler{"get": open, "create": open}}
}

var (
	scaleGVK   = autoscalingv1.SchemeGroupVersion.WithKind("Scale")
	bindingGVK = corev1.SchemeGroupVersion.WithKind("Binding")
)
