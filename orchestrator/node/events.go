package node

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/record"

	"skiff/orchestrator/resource"
	"skiff/orchestrator/work"
)

// The kubelet's reasons, of events and of states.
const (
	reasonScheduled         = "Scheduled"
	reasonFailedScheduling  = "FailedScheduling"
	reasonEviction          = "TaintManagerEviction"
	reasonPulling           = "Pulling"
	reasonPulled            = "Pulled"
	reasonFailed            = "Failed"
	reasonInspectFailed     = "InspectFailed"
	reasonBackOff           = "BackOff"
	reasonCreated           = "Created"
	reasonStarted           = "Started"
	reasonKilling           = "Killing"
	reasonUnhealthy         = "Unhealthy"
	reasonFailedMount       = "FailedMount"
	reasonNoAddress         = "FailedCreatePodSandBox"
	reasonPostStartFailed   = "FailedPostStartHook"
	reasonPreStopFailed     = "FailedPreStopHook"
	reasonSandboxChanged    = "SandboxChanged"
	reasonNetworkLost       = "NetworkNotReady"
	reasonDeadline          = "DeadlineExceeded"
	reasonContainerCreating = "ContainerCreating"
	reasonPodInitializing   = "PodInitializing"
	reasonCrashLoop         = "CrashLoopBackOff"
	reasonErrImagePull      = "ErrImagePull"
	reasonImagePullBackOff  = "ImagePullBackOff"
	reasonNeverPull         = "ErrImageNeverPull"
	reasonInvalidImage      = "InvalidImageName"
	reasonImageInspect      = "ImageInspectError"
	reasonCreateError       = "CreateContainerError"
	reasonConfigError       = "CreateContainerConfigError"
	reasonInvalidVariables  = "InvalidEnvironmentVariableNames"
	reasonNoPullSecret      = "FailedToRetrieveImagePullSecret"
	reasonNoSELinux         = "NoSELinux"
	reasonStartError        = "StartError"
	reasonPostStartError    = "PostStartHookError"
	reasonRestartingAll     = "RestartingAllContainers"
	reasonStatusUnknown     = "ContainerStatusUnknown"
	reasonOOMKilled         = "OOMKilled"
	reasonCompleted         = "Completed"
	reasonError             = "Error"
)

// recorder writes events in the names of those who write them in Kubernetes.
type recorder struct {
	work.Events
	kubelet   record.EventRecorder
	scheduler record.EventRecorder
	evictor   record.EventRecorder
}

// newRecorder makes one that works until it is closed: what ends after ctx may
// still have something to tell.
func newRecorder(ctx context.Context, client kubernetes.Interface) *recorder {
	events := work.NewEvents(context.WithoutCancel(ctx), client)
	return &recorder{
		Events:    events,
		kubelet:   events.On(resource.NodeName, "kubelet"),
		scheduler: events.By("default-scheduler"),
		evictor:   events.By("taint-eviction-controller"),
	}
}

// normal and warn record an event about a Pod, or about its container of that
// name.
func (r *recorder) normal(pod *corev1.Pod, name, reason, format string, args ...any) {
	r.kubelet.Event(objectRef(pod, name), corev1.EventTypeNormal, reason, fmt.Sprintf(format, args...))
}

func (r *recorder) warn(pod *corev1.Pod, name, reason, format string, args ...any) {
	r.kubelet.Event(objectRef(pod, name), corev1.EventTypeWarning, reason, fmt.Sprintf(format, args...))
}

func (r *recorder) scheduled(pod *corev1.Pod) {
	r.scheduler.Eventf(objectRef(pod, ""), corev1.EventTypeNormal, reasonScheduled,
		"Successfully assigned %s/%s to %s", pod.Namespace, pod.Name, resource.NodeName)
}

func (r *recorder) unschedulable(pod *corev1.Pod, message string) {
	r.scheduler.Event(objectRef(pod, ""), corev1.EventTypeWarning, reasonFailedScheduling, message)
}

func (r *recorder) evicted(pod *corev1.Pod) {
	r.evictor.Eventf(objectRef(pod, ""), corev1.EventTypeNormal, reasonEviction, "Marking for deletion Pod %s/%s", pod.Namespace, pod.Name)
}

func objectRef(pod *corev1.Pod, name string) *corev1.ObjectReference {
	ref := &corev1.ObjectReference{
		APIVersion:      "v1",
		Kind:            "Pod",
		Namespace:       pod.Namespace,
		Name:            pod.Name,
		UID:             pod.UID,
		ResourceVersion: pod.ResourceVersion,
	}
	if name != "" {
		ref.FieldPath = "spec." + listOf(pod, name) + "{" + name + "}"
	}
	return ref
}

// listOf names the list of a Pod's spec that has a container.
func listOf(pod *corev1.Pod, name string) string {
	if slices.ContainsFunc(pod.Spec.InitContainers, func(c corev1.Container) bool { return c.Name == name }) {
		return "initContainers"
	}
	if slices.ContainsFunc(pod.Spec.EphemeralContainers, func(c corev1.EphemeralContainer) bool { return c.Name == name }) {
		return "ephemeralContainers"
	}
	return "containers"
}
