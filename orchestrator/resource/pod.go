package resource

import (
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/kubectl/pkg/util/qos"
)

func pod() *Definition {
	return typed[*corev1.Pod]{
		GVK:        corev1.SchemeGroupVersion.WithKind("Pod"),
		Plural:     "pods",
		Singular:   "pod",
		ShortNames: []string{"po"},
		Categories: []string{"all"},
		Namespaced: true,

		Default:           defaultPod,
		PrepareCreate:     preparePod,
		Admit:             admitAccount,
		PrepareUpdate:     preparePodUpdate,
		PrepareStatus:     preparePodStatus,
		PrepareEphemeral:  preparePodEphemeral,
		ValidateEphemeral: validatePodEphemeral,
		SpecChanged:       podSpecChanged,
		Validate:          validatePod,
		ValidateUpdate:    validatePodUpdate,
		ValidateStatus:    validatePodStatus,
		Warnings:          podWarnings,
		Ineffective:       podIneffective,
		GracePeriod:       podGracePeriod,
		Fields:            podFieldSet,
		Columns:           podColumns,
		Row:               podRow,
	}.definition()
}

func defaultPod(p *corev1.Pod) {
	defaultPodOnly(&p.Spec)
	defaultPodSpec(&p.Spec)
}

func preparePod(p *corev1.Pod) {
	admitPod(&p.Spec)
	p.Status = corev1.PodStatus{Phase: corev1.PodPending}
	p.Status.QOSClass = qos.GetPodQOS(p)
}

func preparePodUpdate(p, old *corev1.Pod) {
	tolerateNodeTrouble(&p.Spec)
	p.Status = old.Status
}

// preparePodStatus lets the status subresource change labels, annotations and
// finalizers along with the status, as in Kubernetes, but not who owns the Pod
// nor its deletion.
func preparePodStatus(p, old *corev1.Pod) {
	p.Spec = old.Spec
	p.OwnerReferences = old.OwnerReferences
	p.DeletionTimestamp = old.DeletionTimestamp
	p.DeletionGracePeriodSeconds = old.DeletionGracePeriodSeconds
	p.Generation = old.Generation
	setDefault(&p.Status.QOSClass, old.Status.QOSClass)
	setDefault(&p.Status.ObservedGeneration, old.Status.ObservedGeneration)
}

func podSpecChanged(p, old *corev1.Pod) bool {
	return !apiequality.Semantic.DeepEqual(p.Spec, old.Spec)
}

// podGracePeriod is what the Pod's author grants it to end. A Pod that never
// got to a node, or has ended, needs none.
func podGracePeriod(p *corev1.Pod) int64 {
	switch grace := p.Spec.TerminationGracePeriodSeconds; {
	case p.Spec.NodeName == "", IsFinished(p), grace == nil:
		return 0
	case *grace < 0:
		return 1
	default:
		return *grace
	}
}

// IsFinished says whether all of a Pod's containers have ended for good.
func IsFinished(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

// IsActive says whether a Pod neither has ended nor is about to.
func IsActive(p *corev1.Pod) bool {
	return p.DeletionTimestamp == nil && !IsFinished(p)
}

func podFieldSet(p *corev1.Pod) fields.Set {
	hostNetwork := "false"
	if p.Spec.HostNetwork {
		hostNetwork = "true"
	}
	return fields.Set{
		"spec.nodeName":            p.Spec.NodeName,
		"spec.restartPolicy":       string(p.Spec.RestartPolicy),
		"spec.schedulerName":       p.Spec.SchedulerName,
		"spec.serviceAccountName":  p.Spec.ServiceAccountName,
		"spec.hostNetwork":         hostNetwork,
		"status.phase":             string(p.Status.Phase),
		"status.podIP":             podIP(p),
		"status.nominatedNodeName": p.Status.NominatedNodeName,
	}
}

// podIP is the Pod's first address.
func podIP(p *corev1.Pod) string {
	if len(p.Status.PodIPs) > 0 {
		return p.Status.PodIPs[0].IP
	}
	return p.Status.PodIP
}
