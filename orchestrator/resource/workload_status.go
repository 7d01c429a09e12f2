package resource

import (
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// scaleOf is the scale subresource of an object that has replicas.
func scaleOf(meta *metav1.ObjectMeta, want *int32, have int32, selector *metav1.LabelSelector) *autoscalingv1.Scale {
	scale := &autoscalingv1.Scale{
		TypeMeta: metav1.TypeMeta{APIVersion: autoscalingv1.SchemeGroupVersion.String(), Kind: "Scale"},
		ObjectMeta: metav1.ObjectMeta{
			Name:              meta.Name,
			Namespace:         meta.Namespace,
			UID:               meta.UID,
			ResourceVersion:   meta.ResourceVersion,
			CreationTimestamp: meta.CreationTimestamp,
		},
		Status: autoscalingv1.ScaleStatus{Replicas: have, Selector: selectorText(selector)},
	}
	if want != nil {
		scale.Spec.Replicas = *want
	}
	return scale
}

// selectorText is a selector as -l takes it.
func selectorText(selector *metav1.LabelSelector) string {
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return ""
	}
	return s.String()
}

// count is a number in a status, by the name of its field.
type count struct {
	field string
	n     int64
}

func validateCounts(path *field.Path, counts []count) field.ErrorList {
	var errs field.ErrorList
	for _, c := range counts {
		errs = append(errs, apivalidation.ValidateNonnegativeField(c.n, path.Child(c.field))...)
	}
	return errs
}

// validateAtMost checks that none of the counts is greater than most, which
// the message calls by its name.
func validateAtMost(path *field.Path, most int64, name string, counts []count) field.ErrorList {
	var errs field.ErrorList
	for _, c := range counts {
		if c.n > most {
			errs = append(errs, field.Invalid(path.Child(c.field), c.n, "cannot be greater than "+name))
		}
	}
	return errs
}
