package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
)

// jsonReader builds trees from JSON text, which may hold several values.
type jsonReader struct {
	budget
	data    []byte
	decoder *json.Decoder
	starts  []int // offset of every line
	line    int   // of the first one
}

func parseJSON(data []byte, line int) ([]*tree, error) {
	r := &jsonReader{data: data, decoder: json.NewDecoder(bytes.NewReader(data)), starts: []int{0}, line: line}
	r.decoder.UseNumber()
	for i, c := range data {
		if c == '\n' {
			r.starts = append(r.starts, i+1)
		}
	}
	var trees []*tree
	for {
		t, err := r.value(0)
		if errors.Is(err, io.EOF) {
			return trees, nil
		}
		if err != nil {
			return nil, err
		}
		r.budget = budget{}
		trees = append(trees, t)
	}
}

// next is the coming token and where it starts.
func (r *jsonReader) next(depth int) (json.Token, position, error) {
	start := int(r.decoder.InputOffset())
	for start < len(r.data) && bytes.IndexByte([]byte(" \t\r\n,:"), r.data[start]) >= 0 {
		start++
	}
	token, err := r.decoder.Token()
	if err != nil {
		return nil, position{}, err
	}
	line := sort.SearchInts(r.starts, start+1) - 1
	length := int(r.decoder.InputOffset()) - start
	return token, position{r.line + line, start - r.starts[line] + 1}, r.spend(length, depth)
}

func (r *jsonReader) value(depth int) (*tree, error) {
	token, at, err := r.next(depth)
	if err != nil {
		return nil, err
	}
	t := &tree{at: at}
	switch v := token.(type) {
	case bool:
		t.kind, t.scalar = boolean, fmt.Sprint(v)
	case json.Number:
		scalar, ok := jsonNumber(v.String())
		if !ok {
			return nil, fmt.Errorf("line %d: %s is too large", at.Line, v)
		}
		t.kind, t.scalar = number, scalar
	case string:
		t.kind, t.scalar = text, v
	case json.Delim:
		err = r.compound(t, v, depth)
	}
	t.written = t.scalar
	return t, err
}

func (r *jsonReader) compound(t *tree, open json.Delim, depth int) error {
	if open == '[' {
		t.kind = sequence
		for r.decoder.More() {
			item, err := r.value(depth + 1)
			if err != nil {
				return unexpected(err)
			}
			t.items = append(t.items, item)
		}
	} else {
		t.kind = mapping
		if err := r.members(t, depth); err != nil {
			return unexpected(err)
		}
	}
	_, err := r.decoder.Token()
	return unexpected(err)
}

func (r *jsonReader) members(t *tree, depth int) error {
	lines := map[string]int{}
	for r.decoder.More() {
		token, at, err := r.next(depth)
		if err != nil {
			return err
		}
		key, _ := token.(string)
		child, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		if first, found := lines[key]; found {
			return fmt.Errorf("line %d: key %q is set twice, first on line %d", at.Line, key, first)
		}
		lines[key] = at.Line
		t.members = append(t.members, member{key, at, child})
	}
	return nil
}

// unexpected keeps the end of the text within a value apart from its end
// between values.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
