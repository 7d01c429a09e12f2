package resource

import (
	"cmp"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	maxEventWord = 128
	maxEventNote = 1024
)

func event() *Definition {
	return typed[*corev1.Event]{
		GVK:        corev1.SchemeGroupVersion.WithKind("Event"),
		Plural:     "events",
		Singular:   "event",
		ShortNames: []string{"ev"},
		Namespaced: true,
		Validate:   validateEvent,
		Fields:     eventFields,
		Columns:    eventColumns(),
		Row:        eventRow,
	}.definition()
}

// validateEvent is what upstream asks of every Event, the older ones included:
// their names need only fit into a URL, which the API sees to for every kind.
func validateEvent(e *corev1.Event) field.ErrorList {
	anyName := func(string, bool) []string { return nil }
	return append(validateMeta(e, true, anyName), validateEventContent(e)...)
}

func validateEventContent(e *corev1.Event) field.ErrorList {
	var errs field.ErrorList
	involved := e.InvolvedObject.Namespace
	involvedPath := field.NewPath("involvedObject", "namespace")
	const detail = "does not match event.namespace"
	if e.EventTime.IsZero() {
		if involved != e.Namespace && (involved != "" || e.Namespace != metav1.NamespaceDefault) {
			errs = append(errs, field.Invalid(involvedPath, involved, detail))
		}
		return errs
	}
	if involved == "" && e.Namespace != metav1.NamespaceDefault && e.Namespace != metav1.NamespaceSystem {
		errs = append(errs, field.Invalid(involvedPath, involved, detail))
	}
	controller := field.NewPath("reportingController")
	if e.ReportingController == "" {
		errs = append(errs, field.Required(controller, ""))
	}
	errs = append(errs, invalid(controller, e.ReportingController, validation.IsQualifiedName(e.ReportingController))...)
	errs = append(errs, validateEventWord(e.ReportingInstance, "reportingInstance")...)
	errs = append(errs, validateEventWord(e.Action, "action")...)
	errs = append(errs, validateEventWord(e.Reason, "reason")...)
	if len(e.Message) > maxEventNote {
		errs = append(errs, field.Invalid(field.NewPath("message"), "", "can have at most 1024 characters"))
	}
	return errs
}

func validateEventWord(value, name string) field.ErrorList {
	switch {
	case value == "":
		return field.ErrorList{field.Required(field.NewPath(name), "")}
	case len(value) > maxEventWord:
		return field.ErrorList{field.Invalid(field.NewPath(name), "", "can have at most 128 characters")}
	}
	return nil
}

func eventFields(e *corev1.Event) fields.Set {
	o := e.InvolvedObject
	return fields.Set{
		"involvedObject.kind":            o.Kind,
		"involvedObject.namespace":       o.Namespace,
		"involvedObject.name":            o.Name,
		"involvedObject.uid":             string(o.UID),
		"involvedObject.apiVersion":      o.APIVersion,
		"involvedObject.resourceVersion": o.ResourceVersion,
		"involvedObject.fieldPath":       o.FieldPath,
		"reason":                         e.Reason,
		"reportingComponent":             e.ReportingController,
		"source":                         cmp.Or(e.Source.Component, e.ReportingController),
		"type":                           e.Type,
	}
}

// eventColumns puts the name last, as upstream does: it says nothing to people.
func eventColumns() []metav1.TableColumnDefinition {
	doc := corev1.Event{}.SwaggerDoc()
	name := nameColumn()
	name.Priority = 1
	return []metav1.TableColumnDefinition{
		column("Last Seen", "string", doc["lastTimestamp"]),
		column("Type", "string", doc["type"]),
		column("Reason", "string", doc["reason"]),
		column("Object", "string", doc["involvedObject"]),
		wideColumn("Subobject", "string", corev1.ObjectReference{}.SwaggerDoc()["fieldPath"]),
		wideColumn("Source", "string", doc["source"]),
		column("Message", "string", doc["message"]),
		wideColumn("First Seen", "string", doc["firstTimestamp"]),
		wideColumn("Count", "string", doc["count"]),
		name,
	}
}

func eventRow(e *corev1.Event) []any {
	now := time.Now()
	first := age(e.FirstTimestamp, now)
	if e.FirstTimestamp.IsZero() {
		first = age(metav1.Time(e.EventTime), now)
	}
	last := first
	if !e.LastTimestamp.IsZero() {
		last = age(e.LastTimestamp, now)
	}
	count := max(e.Count, 1)
	if e.Series != nil {
		last, count = age(metav1.Time(e.Series.LastObservedTime), now), e.Series.Count
	}
	object := strings.ToLower(e.InvolvedObject.Kind)
	if e.InvolvedObject.Name != "" {
		object += "/" + e.InvolvedObject.Name
	}
	return []any{
		last, e.Type, e.Reason, object, e.InvolvedObject.FieldPath, eventSource(e),
		strings.TrimSpace(e.Message), first, int64(count), e.Name,
	}
}

func eventSource(e *corev1.Event) string {
	component, instance := e.Source.Component, e.Source.Host
	if component == "" {
		component = e.ReportingController
	}
	if instance == "" {
		instance = e.ReportingInstance
	}
	if instance == "" {
		return component
	}
	return component + ", " + instance
}
