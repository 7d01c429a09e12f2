package rollout

import (
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The annotations in which Kubernetes keeps a rollout's memory.
const (
	RevisionAnnotation        = "deployment.kubernetes.io/revision"
	RevisionHistoryAnnotation = "deployment.kubernetes.io/revision-history"
	DesiredReplicasAnnotation = "deployment.kubernetes.io/desired-replicas"
	MaxReplicasAnnotation     = "deployment.kubernetes.io/max-replicas"
)

// ReceiptAnnotation is where a ReplicaSet keeps how its rollout went.
const ReceiptAnnotation = "skiff.dev/rollout-receipt"

// maxHistoryLength bounds the list of earlier revisions on a ReplicaSet that is
// rolled back to again and again.
const maxHistoryLength = 2000

// Revision is the revision of a Deployment or ReplicaSet, 0 where none is set
// or the annotation was tampered with.
func Revision(obj metav1.Object) int64 {
	n, err := strconv.ParseInt(obj.GetAnnotations()[RevisionAnnotation], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// NextRevision is one more than the highest revision among the old ReplicaSets.
func NextRevision(old []*appsv1.ReplicaSet) int64 {
	var highest int64
	for _, rs := range old {
		highest = max(highest, Revision(rs))
	}
	return highest + 1
}

// SetRevision makes rs the given revision and says whether that is news. Going
// back to an earlier template makes its ReplicaSet the newest revision again,
// and its former numbers go into its history. A revision never falls: the old
// sets from which next was counted may have been deleted meanwhile.
func SetRevision(rs *appsv1.ReplicaSet, next int64) bool {
	former := Revision(rs)
	if former >= next {
		return false
	}
	if former > 0 {
		annotate(rs, RevisionHistoryAnnotation, appendHistory(rs.Annotations[RevisionHistoryAnnotation], former))
	}
	annotate(rs, RevisionAnnotation, strconv.FormatInt(next, 10))
	return true
}

// appendHistory drops the oldest revisions where the list gets too long.
func appendHistory(history string, revision int64) string {
	added := strconv.FormatInt(revision, 10)
	for history != "" && len(history)+1+len(added) > maxHistoryLength {
		_, history, _ = strings.Cut(history, ",")
	}
	if history == "" {
		return added
	}
	return history + "," + added
}

// CopyAnnotations gives rs the annotations of its Deployment, the cause of the
// change among them, except those that only make sense on the Deployment or are
// rs's own. It says whether rs changed.
func CopyAnnotations(d *appsv1.Deployment, rs *appsv1.ReplicaSet) bool {
	changed := false
	for key, value := range d.Annotations {
		switch key {
		case corev1.LastAppliedConfigAnnotation, appsv1.DeprecatedRollbackTo,
			RevisionAnnotation, RevisionHistoryAnnotation,
			DesiredReplicasAnnotation, MaxReplicasAnnotation, ReceiptAnnotation:
			continue
		}
		changed = annotate(rs, key, value) || changed
	}
	return changed
}

// SetReplicasAnnotations notes on rs what it is sized for: d's replicas, and
// the most Pods that d may have. It says whether rs changed.
func SetReplicasAnnotations(d *appsv1.Deployment, rs *appsv1.ReplicaSet) bool {
	desired := annotate(rs, DesiredReplicasAnnotation, strconv.Itoa(int(Replicas(d))))
	most := annotate(rs, MaxReplicasAnnotation, strconv.Itoa(int(Replicas(d)+MaxSurge(d))))
	return desired || most
}

func annotate(obj metav1.Object, key, value string) bool {
	annotations := obj.GetAnnotations()
	if v, ok := annotations[key]; ok && v == value {
		return false
	}
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[key] = value
	obj.SetAnnotations(annotations)
	return true
}

func numberAnnotation(rs *appsv1.ReplicaSet, key string) (int32, bool) {
	n, err := strconv.ParseInt(rs.Annotations[key], 10, 32)
	return int32(n), err == nil
}
