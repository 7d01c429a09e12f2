package apiserver

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// bind puts a Pod on a node, once.
func (s *Server) bind(r *request) error {
	options, err := r.createOptions()
	if err != nil {
		return err
	}
	binding := &corev1.Binding{}
	if err := r.decodeBody(bindingGVK, binding, options.fieldValidation); err != nil {
		return err
	}
	if binding.Target.Name == "" {
		return apierrors.NewInvalid(bindingGVK.GroupKind(), r.name, field.ErrorList{field.Required(field.NewPath("target", "name"), "")})
	}
	_, err = s.change(r, ownChange, options.dryRun, func(old object) (object, error) {
		pod := old.DeepCopyObject().(*corev1.Pod)
		if err := bindPod(pod, binding, time.Now()); err != nil {
			return nil, apierrors.NewConflict(schema.GroupResource{Resource: "pods/binding"}, r.name, err)
		}
		return pod, nil
	})
	if err != nil {
		return err
	}
	return s.encodeDone(r)
}

func bindPod(pod *corev1.Pod, binding *corev1.Binding, now time.Time) error {
	if binding.UID != "" && binding.UID != pod.UID {
		return fmt.Errorf("the UID in the binding (%s) does not match the UID in record (%s)", binding.UID, pod.UID)
	}
	if pod.DeletionTimestamp != nil {
		return fmt.Errorf("pod %s is being deleted, cannot be assigned to a host", pod.Name)
	}
	if pod.Spec.NodeName != "" {
		return fmt.Errorf("pod %s is already assigned to node %q", pod.Name, pod.Spec.NodeName)
	}
	pod.Spec.NodeName = binding.Target.Name
	for name, value := range binding.Annotations {
		metav1.SetMetaDataAnnotation(&pod.ObjectMeta, name, value)
	}
	scheduled := corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(now)}
	for i, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled {
			pod.Status.Conditions[i] = scheduled
			return nil
		}
	}
	pod.Status.Conditions = append(pod.Status.Conditions, scheduled)
	return nil
}
