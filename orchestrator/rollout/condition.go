package rollout

import (
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Why a Deployment's conditions are as they are: Kubernetes' words, which
// kubectl and other clients test for.
const (
	ReasonCreateError       = "ReplicaSetCreateError"
	ReasonCreated           = "NewReplicaSetCreated"
	ReasonFound             = "FoundNewReplicaSet"
	ReasonUpdated           = "ReplicaSetUpdated"
	ReasonComplete          = "NewReplicaSetAvailable"
	ReasonTimedOut          = "ProgressDeadlineExceeded"
	ReasonPaused            = "DeploymentPaused"
	ReasonResumed           = "DeploymentResumed"
	ReasonEnoughAvailable   = "MinimumReplicasAvailable"
	ReasonTooFewAvailable   = "MinimumReplicasUnavailable"
	messageEnoughAvailable  = "Deployment has minimum availability."
	messageTooFewAvailable  = "Deployment does not have minimum availability."
	messagePaused           = "Deployment is paused"
	messageResumed          = "Deployment is resumed"
	messageCreated          = "Created new replica set %q"
	messageFound            = "Found new replica set %q"
	messageCreateError      = "Failed to create new replica set %q: %v"
	messageSuffixComplete   = "has successfully progressed."
	messageSuffixProgresses = "is progressing."
	messageSuffixTimedOut   = "has timed out progressing."
)

// Condition is d's condition of that type, nil if it has none.
func Condition(status *appsv1.DeploymentStatus, kind appsv1.DeploymentConditionType) *appsv1.DeploymentCondition {
	for i := range status.Conditions {
		if status.Conditions[i].Type == kind {
			return &status.Conditions[i]
		}
	}
	return nil
}

// setCondition keeps the condition that is there if it says the same, and the
// time of its last transition if only the reason changed.
func setCondition(status *appsv1.DeploymentStatus, c appsv1.DeploymentCondition) {
	was := Condition(status, c.Type)
	if was != nil && was.Status == c.Status && was.Reason == c.Reason {
		return
	}
	replaceCondition(status, c)
}

// replaceCondition renews the condition even if it says the same, which moves
// the time of its last update.
func replaceCondition(status *appsv1.DeploymentStatus, c appsv1.DeploymentCondition) {
	if was := Condition(status, c.Type); was != nil && was.Status == c.Status {
		c.LastTransitionTime = was.LastTransitionTime
	}
	removeCondition(status, c.Type)
	status.Conditions = append(status.Conditions, c)
}

func removeCondition(status *appsv1.DeploymentStatus, kind appsv1.DeploymentConditionType) {
	status.Conditions = slices.DeleteFunc(slices.Clone(status.Conditions), func(c appsv1.DeploymentCondition) bool {
		return c.Type == kind
	})
}

func newCondition(kind appsv1.DeploymentConditionType, status corev1.ConditionStatus, reason, message string, now time.Time) appsv1.DeploymentCondition {
	return appsv1.DeploymentCondition{
		Type: kind, Status: status, Reason: reason, Message: message,
		LastUpdateTime: metav1.NewTime(now), LastTransitionTime: metav1.NewTime(now),
	}
}

// NotePause records that d was paused or resumed. Resuming restarts the clock
// of the progress deadline; a rollout that had timed out before stays so.
func NotePause(d *appsv1.Deployment, status *appsv1.DeploymentStatus, now time.Time) {
	was := Condition(status, appsv1.DeploymentProgressing)
	if !hasDeadline(d) || was != nil && was.Reason == ReasonTimedOut {
		return
	}
	isNoted := was != nil && was.Reason == ReasonPaused
	switch {
	case d.Spec.Paused && !isNoted:
		setCondition(status, newCondition(appsv1.DeploymentProgressing, corev1.ConditionUnknown, ReasonPaused, messagePaused, now))
	case !d.Spec.Paused && isNoted:
		setCondition(status, newCondition(appsv1.DeploymentProgressing, corev1.ConditionUnknown, ReasonResumed, messageResumed, now))
	}
}

// NoteCreated records that a rollout began with a new ReplicaSet.
func NoteCreated(d *appsv1.Deployment, status *appsv1.DeploymentStatus, name string, now time.Time) {
	begin(d, status, ReasonCreated, fmt.Sprintf(messageCreated, name), now)
}

// NoteFound records that a rollout goes back to a ReplicaSet that was there.
// Kubernetes leaves the condition as it was; then a rollout that had timed out
// makes `kubectl rollout status` fail at once after the undo that repairs it.
func NoteFound(d *appsv1.Deployment, status *appsv1.DeploymentStatus, name string, now time.Time) {
	begin(d, status, ReasonFound, fmt.Sprintf(messageFound, name), now)
}

func begin(d *appsv1.Deployment, status *appsv1.DeploymentStatus, reason, message string, now time.Time) {
	if hasDeadline(d) {
		replaceCondition(status, newCondition(appsv1.DeploymentProgressing, corev1.ConditionTrue, reason, message, now))
	}
}

// NoteCreateError records that the new ReplicaSet could not be created, and
// returns what is to be told to the user.
func NoteCreateError(d *appsv1.Deployment, status *appsv1.DeploymentStatus, name string, cause error, now time.Time) string {
	message := fmt.Sprintf(messageCreateError, name, cause)
	if hasDeadline(d) {
		setCondition(status, newCondition(appsv1.DeploymentProgressing, corev1.ConditionFalse, ReasonCreateError, message, now))
	}
	return message
}
