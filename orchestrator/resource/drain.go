package resource

import (
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// DrainAnnotation, on a Pod, says for how many seconds at most the long-lived
// connections of the leaving Pod are let live: TCP connections, WebSockets,
// streams of events and gRPC calls that rest.
const DrainAnnotation = "skiff.dev/drain-seconds"

// DefaultDrain is for Pods that say nothing.
const DefaultDrain = 5 * time.Second

const longestDrain = time.Hour

// DrainTime is what the Pod's annotation says, or DefaultDrain.
func DrainTime(pod *corev1.Pod) time.Duration {
	if d, ok := parseDrain(pod.Annotations[DrainAnnotation]); ok {
		return d
	}
	return DefaultDrain
}

func validateDrain(annotations map[string]string, path *field.Path) field.ErrorList {
	text, set := annotations[DrainAnnotation]
	if _, ok := parseDrain(text); ok || !set {
		return nil
	}
	return field.ErrorList{field.Invalid(path.Key(DrainAnnotation), text,
		fmt.Sprintf("must be a whole number of seconds between 0 and %d", int(longestDrain.Seconds())))}
}

func parseDrain(text string) (time.Duration, bool) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > int(longestDrain.Seconds()) {
		return 0, false
	}
	return time.Duration(n) * time.Second, true
}
