package apiserver

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// deletionComplete says whether nothing holds obj back any more: it is being
// deleted, its grace period is over or was never given, and no finalizer is left.
func deletionComplete(obj object) bool {
	grace := obj.GetDeletionGracePeriodSeconds()
	return obj.GetDeletionTimestamp() != nil &&
		(grace == nil || *grace == 0) &&
		len(obj.GetFinalizers()) == 0 && specFinalizers(obj) == 0
}

// markDeleted puts the marks of a deletion on obj, whose kind gives it grace
// seconds of its own. A second deletion can shorten the first one's grace
// period and change what becomes of dependents, and nothing else.
func markDeleted(obj object, grace int64, options *metav1.DeleteOptions, now time.Time) {
	obj.SetFinalizers(finalizersFor(obj.GetFinalizers(), options))
	if grace > 0 && options.GracePeriodSeconds != nil {
		grace = *options.GracePeriodSeconds
		if grace < 0 {
			grace = 1 // as upstream reads it: soon, but not by force
		}
	}
	due := obj.GetDeletionTimestamp()
	if due == nil {
		setDeletion(obj, now.Add(time.Duration(grace)*time.Second), grace)
		if generation := obj.GetGeneration(); generation > 0 {
			obj.SetGeneration(generation + 1)
		}
		return
	}
	var left int64
	if seconds := obj.GetDeletionGracePeriodSeconds(); seconds != nil {
		left = *seconds
	}
	if options.GracePeriodSeconds != nil && grace < left {
		setDeletion(obj, due.Add(time.Duration(grace-left)*time.Second), grace)
	}
}

func setDeletion(obj object, due time.Time, grace int64) {
	at := metav1.NewTime(due)
	obj.SetDeletionTimestamp(&at)
	obj.SetDeletionGracePeriodSeconds(&grace)
	markTerminating(obj)
}

// finalizersFor replaces the garbage collector's two finalizers by what the
// propagation policy asks for. Without one they stay as they are.
func finalizersFor(finalizers []string, options *metav1.DeleteOptions) []string {
	var wanted string
	switch {
	case options.PropagationPolicy != nil:
		wanted = map[metav1.DeletionPropagation]string{
			metav1.DeletePropagationOrphan:     metav1.FinalizerOrphanDependents,
			metav1.DeletePropagationForeground: metav1.FinalizerDeleteDependents,
		}[*options.PropagationPolicy]
	case orphanDependents(options) != nil:
		if *orphanDependents(options) {
			wanted = metav1.FinalizerOrphanDependents
		}
	default:
		return finalizers
	}
	var kept []string
	for _, finalizer := range finalizers {
		if finalizer != metav1.FinalizerOrphanDependents && finalizer != metav1.FinalizerDeleteDependents {
			kept = append(kept, finalizer)
		}
	}
	if wanted != "" {
		kept = append(kept, wanted)
	}
	if slices.Equal(kept, finalizers) {
		return finalizers
	}
	return kept
}

// orphanDependents is what clients used before there were policies.
func orphanDependents(options *metav1.DeleteOptions) *bool {
	//lint:ignore SA1019 old clients still send it
	return options.OrphanDependents
}
