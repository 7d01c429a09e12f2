package resource

import (
	"fmt"
	"reflect"
	"slices"
	"sort"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// support says what becomes of a field of a Pod spec.
type support int

const (
	// refused: the Pod would not be what its author wrote. It is also what
	// holds for every field that podFields does not name, so that a field that
	// a later Kubernetes adds is refused until somebody has looked at it.
	refused support = iota
	// honoured: skiff does what the field says.
	honoured
	// ignored: accepted, stored and shown, but without effect here.
	ignored
	// mixed: a group in which each field has its own line, or is refused.
	mixed
)

// podField is one line of podFields.
type podField struct {
	support support
	// why an ignored field has no effect, or why a refused one cannot have any.
	why string
	// neutral are values of an ignored or refused field that ask for nothing
	// else than what happens anyway.
	neutral []string
}

// fieldUse is a field that a Pod spec sets and that skiff does not honour.
type fieldUse struct {
	path *field.Path
	podField
}

// unhonoured lists the fields set in spec that skiff refuses or ignores, in
// the order of the Go type.
func unhonoured(spec *corev1.PodSpec, path *field.Path) []fieldUse {
	w := &fieldWalk{}
	w.fields(reflect.ValueOf(spec).Elem(), "", path)
	return w.found
}

// refuseUnsupported turns the refused fields of spec into errors.
func refuseUnsupported(spec *corev1.PodSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, use := range unhonoured(spec, path) {
		if use.support == refused {
			errs = append(errs, field.Forbidden(use.path, use.refusal()))
		}
	}
	return errs
}

// refusal is what is said of a refused field.
func (f podField) refusal() string {
	if f.why == "" {
		return "not supported by skiff yet"
	}
	return "not supported by skiff: " + f.why
}

// warnIgnored turns the ignored fields of spec into warnings.
func warnIgnored(spec *corev1.PodSpec, path *field.Path) []string {
	var warnings []string
	for _, use := range ignoredFields(spec, path) {
		warnings = append(warnings, fmt.Sprintf("%s has no effect: %s", use.path, use.why))
	}
	return warnings
}

// ineffective names the ignored fields of spec.
func ineffective(spec *corev1.PodSpec, path *field.Path) []string {
	var paths []string
	for _, use := range ignoredFields(spec, path) {
		paths = append(paths, use.path.String())
	}
	return paths
}

func ignoredFields(spec *corev1.PodSpec, path *field.Path) []fieldUse {
	return slices.DeleteFunc(unhonoured(spec, path), func(use fieldUse) bool { return use.support != ignored })
}

// IneffectiveMessage tells of fields without effect in what an event has room for.
func IneffectiveMessage(paths []string) string {
	const limit = 1000
	text := "accepted, and without effect in skiff: "
	for i, path := range paths {
		if i > 0 {
			text += ", "
		}
		if len(text)+len(path) > limit {
			return text + fmt.Sprintf("and %d more", len(paths)-i)
		}
		text += path
	}
	return text
}

// fieldWalk goes through the set fields of a Pod spec. Next to the path that
// the user reads ("spec.containers[0].ports[1].hostPort") it keeps the pattern
// that podFields is keyed by ("containers[].ports[].hostPort").
type fieldWalk struct {
	found []fieldUse
}

func (w *fieldWalk) fields(v reflect.Value, pattern string, path *field.Path) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "" && f.Anonymous:
			w.fields(v.Field(i), pattern, path)
		case pattern == "":
			w.value(v.Field(i), name, path.Child(name))
		default:
			w.value(v.Field(i), pattern+"."+name, path.Child(name))
		}
	}
}

func (w *fieldWalk) value(v reflect.Value, pattern string, path *field.Path) {
	if v.IsZero() || isContainer(v) && v.Len() == 0 {
		return
	}
	rule, _ := lineOf(pattern)
	switch {
	case rule.support == honoured, slices.Contains(rule.neutral, plain(v)):
	case rule.support == mixed:
		w.inside(v, pattern, path)
	default:
		w.found = append(w.found, fieldUse{path: path, podField: rule})
	}
}

// lineOf finds the line of podFields for a field. What is said of the regular
// containers holds for the others, too, unless they have a line of their own.
func lineOf(pattern string) (podField, bool) {
	if line, ok := podFields[pattern]; ok {
		return line, true
	}
	for _, list := range []string{"initContainers[].", "ephemeralContainers[]."} {
		if rest, ok := strings.CutPrefix(pattern, list); ok {
			line, ok := podFields["containers[]."+rest]
			return line, ok
		}
	}
	return podField{}, false
}

// inside goes on with the parts of v, each under its own line of podFields.
func (w *fieldWalk) inside(v reflect.Value, pattern string, path *field.Path) {
	switch v.Kind() {
	case reflect.Pointer:
		w.inside(v.Elem(), pattern, path)
	case reflect.Struct:
		w.fields(v, pattern, path)
	case reflect.Slice:
		for i := range v.Len() {
			w.inside(v.Index(i), pattern+"[]", path.Index(i))
		}
	case reflect.Map:
		keys := v.MapKeys()
		sort.Slice(keys, func(i, j int) bool { return keys[i].String() < keys[j].String() })
		for _, key := range keys {
			w.entry(v.MapIndex(key), pattern, key.String(), path.Key(key.String()))
		}
	}
}

// entry looks at one value of a map: under a line of its own key, or under the
// one for any key.
func (w *fieldWalk) entry(v reflect.Value, pattern, key string, path *field.Path) {
	if strings.HasPrefix(key, corev1.ResourceHugePagesPrefix) {
		key = corev1.ResourceHugePagesPrefix + "*" // whatever their size
	}
	rule, ok := lineOf(pattern + "[" + key + "]")
	if !ok {
		rule, _ = lineOf(pattern + "[*]")
	}
	if rule.support == honoured || slices.Contains(rule.neutral, plain(v)) {
		return
	}
	w.found = append(w.found, fieldUse{path: path, podField: rule})
}

func isContainer(v reflect.Value) bool {
	return v.Kind() == reflect.Slice || v.Kind() == reflect.Map
}

// plain is the text of a scalar, also behind a pointer.
func plain(v reflect.Value) string {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.String, reflect.Bool, reflect.Int32, reflect.Int64:
		return fmt.Sprint(v.Interface())
	}
	return ""
}
