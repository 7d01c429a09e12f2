package manifest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// checker compares a tree with a Go type of the API and collects every
// difference that decoding would fail on, or, worse, pass over.
type checker struct {
	errs    []*Error
	unsound bool // there is more among them than unknown fields
}

func (c *checker) fail(at position, path, format string, args ...any) {
	c.unsound = true
	c.note(at, path, format, args...)
}

func (c *checker) note(at position, path, format string, args ...any) {
	if len(c.errs) < maxErrors {
		c.errs = append(c.errs, fault(at, path, format, args...))
	}
}

func (c *checker) expected(what string, v *tree, path string) {
	hint := ""
	if what == text.String() && (v.kind == number || v.kind == boolean) {
		hint = ": put it in quotes"
	}
	c.fail(v.at, path, "expected %s, got %s%s", what, v.describe(), hint)
}

func (t *tree) describe() string {
	switch t.kind {
	case text:
		return fmt.Sprintf("the string %s", strconv.Quote(shorten(t.written)))
	case number:
		return "the number " + shorten(t.written)
	case boolean:
		return "the boolean " + t.written
	}
	return t.kind.String()
}

func shorten(s string) string {
	const most = 40
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

func (c *checker) check(t reflect.Type, v *tree, path string) {
	if v.kind == null {
		return
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if special, ok := specials[t]; ok {
		special(c, v, path)
		return
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		c.checkUnmarshaler(t, v, path)
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		c.checkStruct(t, v, path)
	case reflect.Map:
		c.checkMap(t, v, path)
	case reflect.Slice, reflect.Array:
		c.checkList(t, v, path)
	case reflect.String:
		if v.kind != text {
			c.expected(text.String(), v, path)
		}
	case reflect.Bool:
		if v.kind != boolean {
			c.expected("true or false", v, path)
		}
	case reflect.Float32, reflect.Float64:
		if v.kind != number {
			c.expected(number.String(), v, path)
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		c.checkInteger(t, v, path)
	}
}

func (c *checker) checkInteger(t reflect.Type, v *tree, path string) {
	if v.kind != number {
		c.expected("a whole number", v, path)
		return
	}
	if strings.ContainsAny(v.scalar, ".e") {
		c.expected("a whole number", v, path)
		return
	}
	var err error
	if t.Kind() >= reflect.Uint {
		_, err = strconv.ParseUint(v.scalar, 10, t.Bits())
	} else {
		_, err = strconv.ParseInt(v.scalar, 10, t.Bits())
	}
	if err != nil {
		c.fail(v.at, path, "%s does not fit into %d bits", v.written, t.Bits())
	}
}

func (c *checker) checkMap(t reflect.Type, v *tree, path string) {
	if v.kind != mapping {
		c.expected(mapping.String(), v, path)
		return
	}
	for _, m := range v.members {
		c.check(t.Elem(), m.value, join(path, m.key))
	}
}

func (c *checker) checkList(t reflect.Type, v *tree, path string) {
	if t.Elem().Kind() == reflect.Uint8 {
		if v.kind != text {
			c.expected("a base64 string", v, path)
		} else if _, err := base64.StdEncoding.DecodeString(v.scalar); err != nil {
			c.fail(v.at, path, "expected base64: %s", err)
		}
		return
	}
	if v.kind != sequence {
		c.expected(sequence.String(), v, path)
		return
	}
	for i, item := range v.items {
		c.check(t.Elem(), item, fmt.Sprintf("%s[%d]", path, i))
	}
}

func (c *checker) checkStruct(t reflect.Type, v *tree, path string) {
	if v.kind != mapping {
		c.expected(mapping.String(), v, path)
		return
	}
	fields := structFields(t)
	for _, m := range v.members {
		field, known := fields[m.key]
		if !known {
			names := slices.Collect(maps.Keys(fields))
			c.note(m.at, join(path, m.key), "unknown field %q%s", m.key, didYouMean(m.key, names))
			continue
		}
		c.check(field, m.value, join(path, m.key))
	}
}

func (c *checker) checkUnmarshaler(t reflect.Type, v *tree, path string) {
	data, err := json.Marshal(v.value())
	if err == nil {
		err = json.Unmarshal(data, reflect.New(t).Interface())
	}
	if err != nil {
		c.fail(v.at, path, "not a valid %s: %s", t.Name(), err)
	}
}

func join(path, key string) string {
	return strings.TrimPrefix(path+segment(key), ".")
}

// segment is a key's part of a field path.
func segment(key string) string {
	if strings.ContainsAny(key, "./[]") {
		return "[" + key + "]"
	}
	return "." + key
}

// specials are the types whose JSON form is not that of their Go kind.
var specials = map[reflect.Type]func(*checker, *tree, string){
	reflect.TypeFor[intstr.IntOrString](): func(c *checker, v *tree, path string) {
		switch v.kind {
		case text:
		case number:
			c.checkInteger(reflect.TypeFor[int32](), v, path)
		default:
			c.expected("a whole number or a string", v, path)
		}
	},
	reflect.TypeFor[resource.Quantity](): func(c *checker, v *tree, path string) {
		const what = "a quantity such as 500m, 2 or 128Mi"
		if v.kind != text && v.kind != number {
			c.expected(what, v, path)
		} else if _, err := resource.ParseQuantity(v.scalar); err != nil {
			c.expected(what, v, path)
		}
	},
	reflect.TypeFor[metav1.Time]():      checkTime(time.RFC3339),
	reflect.TypeFor[metav1.MicroTime](): checkTime(metav1.RFC3339Micro),
	reflect.TypeFor[metav1.Duration](): func(c *checker, v *tree, path string) {
		if _, err := time.ParseDuration(v.scalar); v.kind != text || err != nil {
			c.expected("a duration such as 30s", v, path)
		}
	},
	reflect.TypeFor[runtime.RawExtension](): checkObject,
	reflect.TypeFor[metav1.FieldsV1]():      checkObject,
}

func checkTime(layout string) func(*checker, *tree, string) {
	return func(c *checker, v *tree, path string) {
		if _, err := time.Parse(layout, v.scalar); v.kind != text || err != nil {
			c.expected("a time such as 2006-01-02T15:04:05Z", v, path)
		}
	}
}

func checkObject(c *checker, v *tree, path string) {
	if v.kind != mapping {
		c.expected(mapping.String(), v, path)
	}
}

var fieldsOf sync.Map // reflect.Type → map[string]reflect.Type

// structFields are the JSON names of a struct's fields, inlined ones included.
func structFields(t reflect.Type) map[string]reflect.Type {
	if known, ok := fieldsOf.Load(t); ok {
		return known.(map[string]reflect.Type)
	}
	fields := map[string]reflect.Type{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported():
		case name == "" && (f.Anonymous || options == "inline"):
			inner := f.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			maps.Copy(fields, structFields(inner))
		case name == "":
			fields[f.Name] = f.Type
		default:
			fields[name] = f.Type
		}
	}
	fieldsOf.Store(t, fields)
	return fields
}
