package manifest

import (
	"strconv"
	"strings"
)

// position is a place in a file, both counted from 1.
type position struct{ Line, Column int }

type kind int

const (
	null kind = iota
	boolean
	number
	text
	sequence
	mapping
)

func (k kind) String() string {
	return [...]string{"null", "a boolean", "a number", "a string", "a list", "a mapping"}[k]
}

// tree is a YAML or JSON value with aliases and merge keys resolved.
type tree struct {
	at   position
	kind kind
	// scalar is a string's value, true or false, or a number as JSON writes it;
	// written is how it stands in the file, for messages.
	scalar, written string
	items           []*tree
	members         []member
}

type member struct {
	key   string
	at    position
	value *tree
}

func (t *tree) get(key string) *tree {
	for i := range t.members {
		if t.members[i].key == key {
			return t.members[i].value
		}
	}
	return nil
}

// value is what unstructured objects are made of.
func (t *tree) value() any {
	switch t.kind {
	case boolean:
		return t.scalar == "true"
	case number:
		if n, err := strconv.ParseInt(t.scalar, 10, 64); err == nil {
			return n
		}
		f, _ := strconv.ParseFloat(t.scalar, 64)
		return f
	case text:
		return t.scalar
	case sequence:
		list := make([]any, len(t.items))
		for i, item := range t.items {
			list[i] = item.value()
		}
		return list
	case mapping:
		m := make(map[string]any, len(t.members))
		for _, one := range t.members {
			m[one.key] = one.value.value()
		}
		return m
	}
	return nil
}

// locate follows a field path such as spec.containers[0].image or
// metadata.labels[app.kubernetes.io/name] as far as the tree has it.
func (t *tree) locate(path string) position {
	at := t.at
	for t != nil && path != "" {
		var next *tree
		var where position
		if inner, rest, ok := bracket(path); ok && t.kind == sequence {
			i, err := strconv.Atoi(inner)
			if err != nil || i < 0 || i >= len(t.items) {
				return at
			}
			next, where, path = t.items[i], t.items[i].at, rest
		} else {
			next, where, path = t.step(path)
		}
		if next == nil {
			return at
		}
		at, t = where, next
	}
	return at
}

// step takes the longest of the mapping's keys with which path begins: keys may
// themselves hold dots.
func (t *tree) step(path string) (*tree, position, string) {
	if inner, rest, ok := bracket(path); ok {
		for _, m := range t.members {
			if m.key == inner {
				return m.value, m.at, rest
			}
		}
		return nil, position{}, ""
	}
	path = strings.TrimPrefix(path, ".")
	best := -1
	for i, m := range t.members {
		rest, ok := strings.CutPrefix(path, m.key)
		if !ok || m.key == "" || rest != "" && rest[0] != '.' && rest[0] != '[' {
			continue
		}
		if best < 0 || len(m.key) > len(t.members[best].key) {
			best = i
		}
	}
	if best < 0 {
		return nil, position{}, ""
	}
	return t.members[best].value, t.members[best].at, path[len(t.members[best].key):]
}

func bracket(path string) (inner, rest string, ok bool) {
	if !strings.HasPrefix(path, "[") {
		return "", "", false
	}
	inner, rest, ok = strings.Cut(path[1:], "]")
	return inner, rest, ok
}
