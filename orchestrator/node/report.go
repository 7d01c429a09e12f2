package node

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"skiff/orchestrator/resource"
)

// bind gives the Pod to the one node there is.
func (p *pod) bind() task {
	pod := p.s.pod
	if p.s.job(job{opBind, ""}).failures == 0 {
		p.events.scheduled(pod) // now, so that it is listed before what follows from it
	}
	return func(ctx context.Context) (func(), error) {
		err := p.Client.CoreV1().Pods(pod.Namespace).Bind(ctx, &corev1.Binding{
			ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
			Target:     corev1.ObjectReference{Kind: "Node", Name: resource.NodeName},
		}, metav1.CreateOptions{})
		// Gone, or bound already: the informer will tell.
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return nil, fmt.Errorf("bind Pod: %w", err)
		}
		return func() { p.s.bound = true }, nil
	}
}

// report writes the status if it says anything new, and says whether there is
// more to write. It comes last and holds nothing up: what changes meanwhile
// makes one write together.
func (p *pod) report(ctx context.Context, plan *plan) bool {
	s := p.s
	if s.needsNoReport() {
		return false
	}
	st := podStatus(s, p.HostIP, plan.now)
	if equality.Semantic.DeepEqual(st, s.reported) {
		return false
	}
	js := s.job(job{opReport, ""})
	switch {
	case js.busy, s.unsettled():
	case plan.now.Before(js.retry):
		plan.wakeAt(js.retry)
	default:
		p.begin(ctx, job{opReport, ""}, p.write(st))
	}
	return true
}

// needsNoReport says whether nobody will read the status any more: the object
// is gone, or about to be.
func (s *state) needsNoReport() bool {
	if s.vanished {
		return true
	}
	leaving := s.pod.DeletionTimestamp != nil && s.drained && s.stopped()
	return leaving && len(s.pod.Finalizers) == 0
}

// unsettled says whether something under way is about to change the status, so
// that one write can say it all.
func (s *state) unsettled() bool {
	for _, o := range []op{opBind, opAdd, opRemoveTraffic} {
		if js := s.jobs[job{o, ""}]; js != nil && js.busy && js.failures == 0 {
			return true
		}
	}
	for _, u := range s.members() {
		if js := s.jobs[job{opInspect, u.name}]; js != nil && js.busy && js.failures == 0 {
			return true
		}
	}
	return false
}

// write patches what has changed. The UID in the patch keeps it from another
// Pod of the same name; nobody else writes these fields.
func (p *pod) write(st corev1.PodStatus) task {
	before := p.s.reported
	return func(ctx context.Context) (func(), error) {
		patch, err := statusPatch(p.uid, before, st)
		if err != nil {
			return nil, err
		}
		written, err := p.Client.CoreV1().Pods(p.namespace).Patch(ctx, p.name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
		switch {
		case apierrors.IsNotFound(err):
			return func() { p.s.reported = st }, nil // the informer will tell
		case err != nil:
			return nil, fmt.Errorf("report status: %w", err)
		}
		return func() { p.s.reported, p.s.reportedVersion = st, written.ResourceVersion }, nil
	}
}

func statusPatch(uid types.UID, before, after corev1.PodStatus) ([]byte, error) {
	old, err := json.Marshal(corev1.Pod{Status: before})
	if err != nil {
		return nil, fmt.Errorf("encode status: %w", err)
	}
	now, err := json.Marshal(corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: uid}, Status: after})
	if err != nil {
		return nil, fmt.Errorf("encode status: %w", err)
	}
	patch, err := strategicpatch.CreateTwoWayMergePatch(old, now, corev1.Pod{})
	if err != nil {
		return nil, fmt.Errorf("compare status: %w", err)
	}
	return patch, nil
}

// ownStatus is the part of a status that the worker writes.
func ownStatus(st corev1.PodStatus) corev1.PodStatus {
	own := corev1.PodStatus{
		ObservedGeneration: st.ObservedGeneration,
		Phase:              st.Phase,
		Reason:             st.Reason,
		Message:            st.Message,
		QOSClass:           st.QOSClass,
		StartTime:          st.StartTime,
		HostIP:             st.HostIP,
		HostIPs:            st.HostIPs,
		PodIP:              st.PodIP,
		PodIPs:             st.PodIPs,

		InitContainerStatuses:      st.InitContainerStatuses,
		ContainerStatuses:          st.ContainerStatuses,
		EphemeralContainerStatuses: st.EphemeralContainerStatuses,
	}
	for _, kind := range ownConditions {
		if c := condition(st.Conditions, kind); c != nil {
			own.Conditions = append(own.Conditions, *c)
		}
	}
	return own
}

// deleteObject tells the API that nothing is left of the Pod.
func (p *pod) deleteObject() task {
	return func(ctx context.Context) (func(), error) {
		options := *metav1.NewDeleteOptions(0)
		options.Preconditions = metav1.NewUIDPreconditions(string(p.uid))
		err := p.Client.CoreV1().Pods(p.namespace).Delete(ctx, p.name, options)
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return nil, fmt.Errorf("delete Pod: %w", err)
		}
		return func() { p.s.deleted = true }, nil
	}
}

// newer says whether the first version is known to be later than the second.
func newer(a, b string) bool {
	if b == "" {
		return a != ""
	}
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && order > 0
}

// second cuts a time to what the API keeps of it.
func second(t time.Time) metav1.Time { return metav1.NewTime(t.Truncate(time.Second)) }
