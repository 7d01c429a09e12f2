package apiserver

import (
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
)

// selector says which objects of a kind a list or watch shows.
type selector struct {
	kind   *kind
	labels labels.Selector
	fields fields.Selector
}

func newSelector(k *kind, options *metav1.ListOptions) (selector, error) {
	byLabel, err := labels.Parse(options.LabelSelector)
	if err != nil {
		return selector{}, apierrors.NewBadRequest(err.Error())
	}
	byField, err := fields.ParseSelector(options.FieldSelector)
	if err != nil {
		return selector{}, apierrors.NewBadRequest(err.Error())
	}
	known := k.fieldsOf(k.New())
	for _, requirement := range byField.Requirements() {
		if _, ok := known[requirement.Field]; !ok {
			return selector{}, apierrors.NewBadRequest("field label not supported: " + requirement.Field)
		}
	}
	return selector{kind: k, labels: byLabel, fields: byField}, nil
}

func (s selector) everything() bool { return s.labels.Empty() && s.fields.Empty() }

func (s selector) matches(obj object) bool {
	return (s.labels.Empty() || s.labels.Matches(labels.Set(obj.GetLabels()))) &&
		(s.fields.Empty() || s.fields.Matches(s.kind.fieldsOf(obj)))
}

// fieldsOf gives what field selectors can match. The names are the same for
// every object of a kind.
func (k *kind) fieldsOf(obj object) fields.Set {
	set := fields.Set{}
	if k.Fields != nil {
		for name, value := range k.Fields(obj) {
			set[name] = value
		}
	}
	set["metadata.name"] = obj.GetName()
	if k.Namespaced {
		set["metadata.namespace"] = obj.GetNamespace()
	}
	return set
}
