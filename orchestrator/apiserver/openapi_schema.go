package apiserver

import (
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// schemas turns Go types into OpenAPI schemas, the way that Kubernetes' own
// generator does it: field names and optionality from the JSON tags, patch
// rules from the patch tags, words from SwaggerDoc.
type schemas struct {
	prefix string // of references
	wrap   bool   // a reference with anything beside it goes into allOf (version 3)
	all    map[string]*spec.Schema
	kinds  map[reflect.Type][]schema.GroupVersionKind
}

const kindExtension = "x-kubernetes-group-version-kind"

func newSchemas(prefix string, wrap bool) *schemas {
	return &schemas{prefix: prefix, wrap: wrap, all: map[string]*spec.Schema{}, kinds: map[reflect.Type][]schema.GroupVersionKind{}}
}

// root marks a type as a kind of its own, and returns a reference to it.
func (s *schemas) root(obj any, gvk schema.GroupVersionKind) spec.Schema {
	t := reflect.TypeOf(obj).Elem()
	if !slices.Contains(s.kinds[t], gvk) {
		s.kinds[t] = append(s.kinds[t], gvk)
	}
	name := s.define(t)
	var list []any
	for _, gvk := range s.kinds[t] {
		list = append(list, kindMap(gvk))
	}
	s.all[name].AddExtension(kindExtension, list)
	return s.reference(name)
}

func kindMap(gvk schema.GroupVersionKind) map[string]any {
	return map[string]any{"group": gvk.Group, "version": gvk.Version, "kind": gvk.Kind}
}

func (s *schemas) reference(name string) spec.Schema {
	return spec.Schema{SchemaProps: spec.SchemaProps{Ref: spec.MustCreateRef(s.prefix + name)}}
}

// of gives the schema of a value of type t: a reference for what has a name.
func (s *schemas) of(t reflect.Type) spec.Schema {
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.Struct:
		return s.reference(s.define(t))
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return *spec.StrFmtProperty("byte")
		}
		return *spec.ArrayProperty(s.item(t.Elem()))
	case reflect.Map:
		return *spec.MapProperty(s.item(t.Elem()))
	case reflect.String:
		return *spec.StringProperty()
	case reflect.Bool:
		return *spec.BooleanProperty()
	case reflect.Int32, reflect.Uint32, reflect.Int, reflect.Uint16, reflect.Uint8:
		return *spec.Int32Property()
	case reflect.Int64, reflect.Uint64:
		return *spec.Int64Property()
	case reflect.Float32, reflect.Float64:
		return *spec.Float64Property()
	}
	return spec.Schema{}
}

func (s *schemas) item(t reflect.Type) *spec.Schema {
	item := s.of(t)
	return &item
}

// define makes sure that t is among the schemas, and returns its name there.
func (s *schemas) define(t reflect.Type) string {
	name := modelName(t)
	if s.all[name] != nil {
		return name
	}
	defined := &spec.Schema{}
	s.all[name] = defined // before its fields: types can contain themselves
	words := documentation(t)
	defined.Description = words[""]
	if s.defineSpecial(t, defined) {
		return name
	}
	defined.Type = spec.StringOrArray{"object"}
	s.addFields(defined, t, words)
	slices.Sort(defined.Required)
	return name
}

// defineSpecial handles types that are written in another form than their
// fields': quantities, times, numbers that may be strings.
func (s *schemas) defineSpecial(t reflect.Type, defined *spec.Schema) bool {
	value := reflect.Zero(t).Interface()
	special, ok := value.(interface {
		OpenAPISchemaType() []string
		OpenAPISchemaFormat() string
	})
	if !ok {
		return false
	}
	defined.Format = special.OpenAPISchemaFormat()
	if oneOf, ok := value.(interface{ OpenAPIV3OneOfTypes() []string }); ok && s.wrap {
		for _, name := range oneOf.OpenAPIV3OneOfTypes() {
			defined.OneOf = append(defined.OneOf, spec.Schema{SchemaProps: spec.SchemaProps{Type: spec.StringOrArray{name}}})
		}
		return true
	}
	defined.Type = special.OpenAPISchemaType()
	return true
}

func (s *schemas) addFields(defined *spec.Schema, t reflect.Type, words map[string]string) {
	for i := range t.NumField() {
		field := t.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case !field.IsExported() || name == "-":
			continue
		case name == "" && field.Anonymous:
			embedded := field.Type
			if embedded.Kind() == reflect.Pointer {
				embedded = embedded.Elem()
			}
			s.addFields(defined, embedded, documentation(embedded))
			continue
		case name == "":
			continue
		}
		property := s.property(field, words[name])
		defined.SetProperty(name, property)
		if !strings.Contains(options, "omitempty") && !strings.Contains(options, "omitzero") {
			defined.Required = append(defined.Required, name)
		}
	}
}

func (s *schemas) property(field reflect.StructField, description string) spec.Schema {
	property := s.of(field.Type)
	if s.wrap && property.Ref.String() != "" {
		property = spec.Schema{SchemaProps: spec.SchemaProps{AllOf: []spec.Schema{property}}}
	}
	property.Description = description
	if strategy := field.Tag.Get("patchStrategy"); strategy != "" {
		property.AddExtension("x-kubernetes-patch-strategy", strategy)
	}
	if key := field.Tag.Get("patchMergeKey"); key != "" {
		property.AddExtension("x-kubernetes-patch-merge-key", key)
	}
	return property
}

func documentation(t reflect.Type) map[string]string {
	if documented, ok := reflect.Zero(t).Interface().(interface{ SwaggerDoc() map[string]string }); ok {
		return documented.SwaggerDoc()
	}
	return nil
}

func modelName(t reflect.Type) string {
	if named, ok := reflect.Zero(t).Interface().(interface{ OpenAPIModelName() string }); ok {
		return named.OpenAPIModelName()
	}
	return strings.ReplaceAll(t.PkgPath(), "/", ".") + "." + t.Name()
}
