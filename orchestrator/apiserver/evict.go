package apiserver

import (
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/kubectl/pkg/util/podutils"

	"skiff/orchestrator/resource"
)

var (
	evictionGVK = policyv1.SchemeGroupVersion.WithKind("Eviction")
	budgetGVR   = policyv1.SchemeGroupVersion.WithResource("poddisruptionbudgets")
)

// evict deletes a Pod if the budget that covers it has room for that.
func (s *Server) evict(r *request) error {
	options, err := r.createOptions()
	if err != nil {
		return err
	}
	eviction := &policyv1.Eviction{}
	if err := r.decodeBody(evictionGVK, eviction, options.fieldValidation); err != nil {
		return err
	}
	if eviction.Name != "" && eviction.Name != r.name {
		return apierrors.NewBadRequest("name in URL does not match name in Eviction object")
	}
	deletion := eviction.DeleteOptions
	if deletion == nil {
		deletion = &metav1.DeleteOptions{}
	}
	if options.dryRun {
		deletion.DryRun = []string{metav1.DryRunAll}
	}
	found, err := s.read(r.kind, r.namespace, r.name)
	if err != nil {
		return err
	}
	pod := found.object.(*corev1.Pod)
	if err := checkPreconditions(r.kind, pod, deletion.Preconditions); err != nil {
		return err
	}
	if !outOfBudget(pod) {
		if err := s.spend(r, pod, len(deletion.DryRun) > 0); err != nil {
			return err
		}
	}
	if err := s.deleteEvicted(r, pod, deletion); err != nil {
		return err
	}
	return s.encodeDone(r)
}

// outOfBudget says whether no budget counts the Pod: it does no work yet, or no
// more.
func outOfBudget(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodPending || !resource.IsActive(pod)
}

// deleteEvicted says why in the Pod's status before it goes.
func (s *Server) deleteEvicted(r *request, pod *corev1.Pod, options *metav1.DeleteOptions) error {
	uid := pod.UID
	preconditions := metav1.Preconditions{UID: &uid}
	if given := options.Preconditions; given != nil {
		preconditions.ResourceVersion = given.ResourceVersion
	}
	dryRun := len(options.DryRun) > 0
	changed, err := s.change(r, ownChange, dryRun, func(old object) (object, error) {
		if err := checkPreconditions(r.kind, old, &preconditions); err != nil {
			return nil, err
		}
		next := old.DeepCopyObject().(*corev1.Pod)
		setCondition(&next.Status, corev1.PodCondition{
			Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, ObservedGeneration: next.Generation,
			Reason: "EvictionByEvictionAPI", Message: "Eviction API: evicting", LastTransitionTime: metav1.Now(),
		})
		return next, nil
	})
	if err != nil {
		return err
	}
	if preconditions.ResourceVersion != nil && !dryRun {
		version := changed.GetResourceVersion()
		preconditions.ResourceVersion = &version
	}
	options.Preconditions = &preconditions
	_, _, err = s.remove(r.Context(), r.kind, r.namespace, r.name, options)
	return err
}

// setCondition keeps the time of a condition that says what it said before.
func setCondition(status *corev1.PodStatus, c corev1.PodCondition) {
	for i, have := range status.Conditions {
		if have.Type == c.Type {
			if have.Status == c.Status {
				c.LastTransitionTime = have.LastTransitionTime
			}
			status.Conditions[i] = c
			return
		}
	}
	status.Conditions = append(status.Conditions, c)
}

// spend takes one disruption from the Pod's budget, if it has one, or says why
// there is none to take.
func (s *Server) spend(r *request, pod *corev1.Pod, dryRun bool) error {
	kind := s.kinds[budgetGVR]
	list, err := s.find(kind, r.namespace, &metav1.ListOptions{})
	if err != nil {
		return err
	}
	var covering []*policyv1.PodDisruptionBudget
	for _, obj := range list.objects {
		if budget := obj.(*policyv1.PodDisruptionBudget); covers(budget, pod) {
			covering = append(covering, budget)
		}
	}
	switch len(covering) {
	case 0:
		return nil
	case 1:
	default:
		return apierrors.NewInternalError(errManyBudgets)
	}
	if !counts(covering[0], pod) {
		return nil
	}
	of := &request{Request: r.Request, w: r.w, kind: kind, namespace: r.namespace, name: covering[0].Name}
	_, err = s.change(of, ownChange, dryRun, func(old object) (object, error) {
		next := old.DeepCopyObject().(*policyv1.PodDisruptionBudget)
		return next, take(next, pod.Name, time.Now())
	})
	return err
}

var errManyBudgets = errors.New("this pod has more than one PodDisruptionBudget, which the eviction subresource does not support")

// covers says whether the budget is about the Pod. One without a selector is
// about none.
func covers(budget *policyv1.PodDisruptionBudget, pod *corev1.Pod) bool {
	if budget.Spec.Selector == nil {
		return false
	}
	selector, err := metav1.LabelSelectorAsSelector(budget.Spec.Selector)
	return err == nil && selector.Matches(labels.Set(pod.Labels))
}

// counts says whether the Pod's end would make a difference to the budget: a Pod
// that is not ready does no work whose loss it could be.
func counts(budget *policyv1.PodDisruptionBudget, pod *corev1.Pod) bool {
	if podutils.IsPodReady(pod) {
		return true
	}
	if policy := budget.Spec.UnhealthyPodEvictionPolicy; policy != nil && *policy == policyv1.AlwaysAllow {
		return false
	}
	st := &budget.Status
	return st.DesiredHealthy <= 0 || st.CurrentHealthy < st.DesiredHealthy
}

// mostDisrupted bounds the evictions that the controller has not yet seen.
const mostDisrupted = 2000

// take notes in a budget that a Pod is about to be evicted.
func take(budget *policyv1.PodDisruptionBudget, pod string, now time.Time) error {
	const full = "Cannot evict pod as it would violate the pod's disruption budget."
	st := &budget.Status
	switch condition := apimeta.FindStatusCondition(st.Conditions, policyv1.DisruptionAllowedCondition); {
	case st.ObservedGeneration < budget.Generation:
		return tooMany(full, 10, fmt.Sprintf("The disruption budget %s is still being processed by the server.", budget.Name))
	case st.DisruptionsAllowed < 0:
		return apierrors.NewForbidden(budgetGVR.GroupResource(), budget.Name, errors.New("pdb disruptions allowed is negative"))
	case len(st.DisruptedPods) >= mostDisrupted:
		return apierrors.NewForbidden(budgetGVR.GroupResource(), budget.Name, errors.New("DisruptedPods map too big - too many evictions not confirmed by PDB controller"))
	case st.DisruptionsAllowed == 0 && condition != nil && condition.Reason == policyv1.SyncFailedReason:
		return tooMany(full, 0, fmt.Sprintf("The disruption budget %s does not allow evicting pods currently because it failed sync: %s", budget.Name, condition.Message))
	case st.DisruptionsAllowed == 0:
		return tooMany(full, 0, fmt.Sprintf("The disruption budget %s needs %d healthy pods and has %d currently", budget.Name, st.DesiredHealthy, st.CurrentHealthy))
	}
	st.DisruptionsAllowed--
	if st.DisruptionsAllowed == 0 {
		apimeta.SetStatusCondition(&st.Conditions, metav1.Condition{
			Type: policyv1.DisruptionAllowedCondition, Status: metav1.ConditionFalse,
			Reason: policyv1.InsufficientPodsReason, ObservedGeneration: st.ObservedGeneration,
		})
	}
	if st.DisruptedPods == nil {
		st.DisruptedPods = map[string]metav1.Time{}
	}
	st.DisruptedPods[pod] = metav1.NewTime(now)
	return nil
}

func tooMany(message string, retryAfter int, cause string) error {
	err := apierrors.NewTooManyRequests(message, retryAfter)
	err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{
		Type: policyv1.DisruptionBudgetCause, Message: cause,
	})
	return err
}
