package manifest

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Bounds on one document. A server takes about 3 MB in a request, which is far
// below what these allow; they keep aliases of aliases from filling the memory.
const (
	maxValues    = 500_000
	maxText      = 32 << 20
	maxDepth     = 200
	maxStructure = 3_000_000
)

// tooMuch ends a document that goes beyond a bound.
type tooMuch string

func (t tooMuch) Error() string { return string(t) }

// budget counts what a document is expanded to.
type budget struct{ values, text int }

func (b *budget) spend(text, depth int) error {
	b.values++
	b.text += text
	switch {
	case b.values > maxValues:
		return tooMuch(fmt.Sprintf("the document has more than %d values, with its aliases expanded", maxValues))
	case b.text > maxText:
		return tooMuch(fmt.Sprintf("the document has more than %d MB of text, with its aliases expanded", maxText>>20))
	case depth > maxDepth:
		return tooMuch(fmt.Sprintf("the document is nested more than %d levels deep", maxDepth))
	}
	return nil
}

// countStructure is an upper bound of the values that a YAML text holds: each
// needs one of these characters. It keeps the parser, which takes some hundred
// bytes for each, from being asked for millions.
func countStructure(data []byte) int {
	n := 0
	for _, c := range data {
		switch c {
		case ',', '[', '{', ':', '-', '?', '\n':
			n++
		}
	}
	return n
}

// expander turns yaml nodes into trees. What a user can correct is collected in
// errs; the error of its methods ends the document.
type expander struct {
	budget
	offset  int
	path    []string
	anchors map[*yaml.Node]bool
	errs    []*Error
}

func (e *expander) at(n *yaml.Node) position {
	return position{n.Line + e.offset, n.Column}
}

func (e *expander) fail(n *yaml.Node, format string, args ...any) {
	if len(e.errs) < maxErrors {
		path := strings.TrimPrefix(strings.Join(e.path, ""), ".")
		e.errs = append(e.errs, fault(e.at(n), path, format, args...))
	}
}

// in expands a part of the current value; segment is how a field path names it.
func (e *expander) in(segment string, n *yaml.Node, depth int) (*tree, error) {
	e.path = append(e.path, segment)
	defer func() { e.path = e.path[:len(e.path)-1] }()
	return e.expand(n, depth+1)
}

func (e *expander) expand(n *yaml.Node, depth int) (*tree, error) {
	if err := e.spend(len(n.Value), depth); err != nil {
		return nil, err
	}
	switch n.Kind {
	case yaml.DocumentNode:
		if len(n.Content) == 0 {
			return &tree{at: e.at(n)}, nil
		}
		return e.expand(n.Content[0], depth)
	case yaml.AliasNode:
		return e.alias(n, depth)
	case yaml.SequenceNode:
		return e.sequence(n, depth)
	case yaml.MappingNode:
		return e.mapping(n, depth)
	case yaml.ScalarNode:
		return e.scalar(n), nil
	}
	return &tree{at: e.at(n)}, nil
}

func (e *expander) alias(n *yaml.Node, depth int) (*tree, error) {
	if e.anchors[n.Alias] {
		e.fail(n, "anchor %q contains itself", n.Value)
		return &tree{at: e.at(n)}, nil
	}
	e.anchors[n.Alias] = true
	defer delete(e.anchors, n.Alias)
	return e.expand(n.Alias, depth+1)
}

func (e *expander) sequence(n *yaml.Node, depth int) (*tree, error) {
	t := &tree{at: e.at(n), kind: sequence}
	for i, item := range n.Content {
		child, err := e.in(fmt.Sprintf("[%d]", i), item, depth)
		if err != nil {
			return nil, err
		}
		t.items = append(t.items, child)
	}
	return t, nil
}

func (e *expander) mapping(n *yaml.Node, depth int) (*tree, error) {
	t := &tree{at: e.at(n), kind: mapping}
	lines := map[string]int{}
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, content := n.Content[i], n.Content[i+1]
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		if key.Kind != yaml.ScalarNode || key.ShortTag() == "!!null" {
			e.fail(key, "keys of a mapping must be plain text")
			continue
		}
		if key.ShortTag() == "!!merge" {
			merges = append(merges, content)
			continue
		}
		if first, found := lines[key.Value]; found {
			e.fail(n.Content[i], "key %q is set twice, first on line %d", key.Value, first)
			continue
		}
		lines[key.Value] = e.at(n.Content[i]).Line
		child, err := e.in(segment(key.Value), content, depth)
		if err != nil {
			return nil, err
		}
		t.members = append(t.members, member{key.Value, e.at(n.Content[i]), child})
	}
	for _, m := range merges {
		if err := e.merge(t, m, lines, depth); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// merge adds what "<<" refers to; keys that are set already win.
func (e *expander) merge(t *tree, n *yaml.Node, lines map[string]int, depth int) error {
	from, err := e.expand(n, depth+1)
	if err != nil {
		return err
	}
	sources := []*tree{from}
	if from.kind == sequence {
		sources = from.items
	}
	for _, s := range sources {
		if s.kind != mapping {
			e.fail(n, "a merge key needs a mapping, not %s", s.kind)
			continue
		}
		for _, m := range s.members {
			if _, found := lines[m.key]; !found {
				lines[m.key] = m.at.Line
				t.members = append(t.members, m)
			}
		}
	}
	return nil
}

// The words that YAML 1.1 takes for booleans and YAML 1.2 for text. Kubernetes
// reads 1.1, so that a bare "yes" where text is wanted is an error there too.
var oldBooleans = map[string]string{
	"y": "true", "Y": "true", "yes": "true", "Yes": "true", "YES": "true", "on": "true", "On": "true", "ON": "true",
	"n": "false", "N": "false", "no": "false", "No": "false", "NO": "false", "off": "false", "Off": "false", "OFF": "false",
}

func (e *expander) scalar(n *yaml.Node) *tree {
	t := &tree{at: e.at(n), kind: text, scalar: n.Value, written: n.Value}
	plain := n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle|yaml.TaggedStyle) == 0
	switch tag := n.ShortTag(); tag {
	case "!!str", "!!timestamp":
		if b, ok := oldBooleans[n.Value]; ok && plain {
			t.kind, t.scalar = boolean, b
		}
	case "!!null":
		t.kind, t.scalar = null, ""
	case "!!bool":
		t.kind, t.scalar = boolean, strings.ToLower(n.Value)
		if t.scalar != "true" && t.scalar != "false" {
			e.fail(n, "%q is not a boolean", n.Value)
		}
	case "!!int", "!!float":
		scalar, ok := jsonNumber(n.Value)
		if !ok {
			e.fail(n, "%q is not a number that a manifest can hold", n.Value)
		}
		t.kind, t.scalar = number, scalar
	case "!!merge":
	default:
		e.fail(n, "the tag %s is not supported in manifests", tag)
	}
	return t
}

// jsonNumber rewrites YAML's forms of numbers (0x1f, 0o17, 017, 1_000) as JSON's.
func jsonNumber(s string) (string, bool) {
	s = strings.ReplaceAll(s, "_", "")
	if n, err := strconv.ParseInt(s, 0, 64); err == nil {
		return strconv.FormatInt(n, 10), true
	}
	if n, err := strconv.ParseUint(s, 0, 64); err == nil {
		return strconv.FormatUint(n, 10), true
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return "0", false
	}
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return strconv.FormatInt(int64(f), 10), true
	}
	return strconv.FormatFloat(f, 'g', -1, 64), true
}
