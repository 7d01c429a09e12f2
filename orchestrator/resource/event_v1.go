package resource

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// eventV1 shows the Events of the core group in the form of events.k8s.io.
func eventV1(stored *Definition) *Definition {
	d := typed[*eventsv1.Event]{
		GVK:            eventsv1.SchemeGroupVersion.WithKind("Event"),
		Plural:         "events",
		Singular:       "event",
		ShortNames:     []string{"ev"},
		Namespaced:     true,
		Validate:       func(e *eventsv1.Event) field.ErrorList { return validateEventV1(toCoreEvent(e)) },
		ValidateUpdate: validateEventV1Update,
		Fields:         eventV1Fields,
		Columns:        eventColumns(),
		Row:            func(e *eventsv1.Event) []any { return eventRow(toCoreEvent(e)) },
	}.definition()
	d.StoredAs = stored
	d.ToStored = func(obj runtime.Object) (runtime.Object, error) {
		e, ok := obj.(*eventsv1.Event)
		if !ok {
			return nil, fmt.Errorf("convert to core event: unexpected %T", obj)
		}
		return toCoreEvent(e), nil
	}
	d.FromStored = func(obj runtime.Object) (runtime.Object, error) {
		e, ok := obj.(*corev1.Event)
		if !ok {
			return nil, fmt.Errorf("convert from core event: unexpected %T", obj)
		}
		return fromCoreEvent(e), nil
	}
	return d
}

func toCoreEvent(e *eventsv1.Event) *corev1.Event {
	core := &corev1.Event{
		ObjectMeta:          *e.ObjectMeta.DeepCopy(),
		EventTime:           e.EventTime,
		Action:              e.Action,
		Reason:              e.Reason,
		Type:                e.Type,
		Message:             e.Note,
		InvolvedObject:      e.Regarding,
		Related:             e.Related.DeepCopy(),
		ReportingController: e.ReportingController,
		ReportingInstance:   e.ReportingInstance,
		Source:              e.DeprecatedSource,
		FirstTimestamp:      e.DeprecatedFirstTimestamp,
		LastTimestamp:       e.DeprecatedLastTimestamp,
		Count:               e.DeprecatedCount,
	}
	if e.Series != nil {
		core.Series = &corev1.EventSeries{Count: e.Series.Count, LastObservedTime: e.Series.LastObservedTime}
	}
	core.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Event"))
	return core
}

func fromCoreEvent(core *corev1.Event) *eventsv1.Event {
	e := &eventsv1.Event{
		ObjectMeta:               *core.ObjectMeta.DeepCopy(),
		EventTime:                core.EventTime,
		Action:                   core.Action,
		Reason:                   core.Reason,
		Type:                     core.Type,
		Note:                     core.Message,
		Regarding:                core.InvolvedObject,
		Related:                  core.Related.DeepCopy(),
		ReportingController:      core.ReportingController,
		ReportingInstance:        core.ReportingInstance,
		DeprecatedSource:         core.Source,
		DeprecatedFirstTimestamp: core.FirstTimestamp,
		DeprecatedLastTimestamp:  core.LastTimestamp,
		DeprecatedCount:          core.Count,
	}
	if core.Series != nil {
		e.Series = &eventsv1.EventSeries{Count: core.Series.Count, LastObservedTime: core.Series.LastObservedTime}
	}
	e.SetGroupVersionKind(eventsv1.SchemeGroupVersion.WithKind("Event"))
	return e
}

// validateEventV1 checks what the newer API asks for. An Event without eventTime
// but with the older timestamps was recorded through the core API: it may be
// labelled through this one, though it could not be created here.
func validateEventV1(e *corev1.Event) field.ErrorList {
	errs := validateMeta(e, true, apivalidation.NameIsDNSSubdomain)
	errs = append(errs, validateEventContent(e)...)
	if e.Series != nil {
		if e.Series.Count < 2 {
			errs = append(errs, field.Invalid(field.NewPath("series.count"), "", "should be at least 2"))
		}
		if e.Series.LastObservedTime.IsZero() {
			errs = append(errs, field.Required(field.NewPath("series.lastObservedTime"), ""))
		}
	}
	if e.EventTime.IsZero() {
		if e.FirstTimestamp.IsZero() {
			errs = append(errs, field.Required(field.NewPath("eventTime"), ""))
		}
		return errs
	}
	if e.Type != corev1.EventTypeNormal && e.Type != corev1.EventTypeWarning {
		errs = append(errs, field.Invalid(field.NewPath("type"), "", fmt.Sprintf("has invalid value: %v", e.Type)))
	}
	unset := func(empty bool, name string) {
		if !empty {
			errs = append(errs, field.Invalid(field.NewPath(name), "", "needs to be unset"))
		}
	}
	unset(e.FirstTimestamp.IsZero(), "firstTimestamp")
	unset(e.LastTimestamp.IsZero(), "lastTimestamp")
	unset(e.Count == 0, "count")
	unset(e.Source == corev1.EventSource{}, "source")
	return errs
}

func validateEventV1Update(e, old *eventsv1.Event) field.ErrorList {
	errs := validateMetaUpdate(e, old)
	fixed := func(value, was any, name string) {
		if !apiequality.Semantic.DeepEqual(value, was) {
			errs = append(errs, field.Invalid(field.NewPath(name), value, apivalidation.FieldImmutableErrorMsg))
		}
	}
	fixed(e.Regarding, old.Regarding, "involvedObject")
	fixed(e.Reason, old.Reason, "reason")
	fixed(e.Note, old.Note, "message")
	fixed(e.DeprecatedSource, old.DeprecatedSource, "source")
	fixed(e.DeprecatedFirstTimestamp, old.DeprecatedFirstTimestamp, "firstTimestamp")
	fixed(e.DeprecatedLastTimestamp, old.DeprecatedLastTimestamp, "lastTimestamp")
	fixed(e.DeprecatedCount, old.DeprecatedCount, "count")
	fixed(e.Type, old.Type, "type")
	fixed(e.EventTime, old.EventTime, "eventTime")
	fixed(e.Action, old.Action, "action")
	fixed(e.Related, old.Related, "related")
	fixed(e.ReportingController, old.ReportingController, "reportingController")
	fixed(e.ReportingInstance, old.ReportingInstance, "reportingInstance")
	return errs
}

func eventV1Fields(e *eventsv1.Event) fields.Set {
	o := e.Regarding
	return fields.Set{
		"regarding.kind":            o.Kind,
		"regarding.namespace":       o.Namespace,
		"regarding.name":            o.Name,
		"regarding.uid":             string(o.UID),
		"regarding.apiVersion":      o.APIVersion,
		"regarding.resourceVersion": o.ResourceVersion,
		"regarding.fieldPath":       o.FieldPath,
		"reason":                    e.Reason,
		"reportingController":       e.ReportingController,
		"type":                      e.Type,
	}
}
