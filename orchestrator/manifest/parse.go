package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// maxErrors is how many errors one document may report: the first few are what
// a user can act upon.
const maxErrors = 50

// parse reads all documents of a file. Each document is parsed on its own, so
// that a syntax error in one does not hide what is wrong with the others.
func parse(file string, data []byte) ([]*Document, Errors) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if bad := readable(file, data); bad != nil {
		return nil, Errors{bad}
	}
	var docs []*Document
	var errs Errors
	roots := 0
	for _, c := range split(data) {
		trees, bad := c.trees()
		c.explain(bad)
		errs = append(errs, at(file, bad)...)
		roots += len(trees) + len(bad)
		for _, t := range trees {
			found, bad := objects(file, t)
			docs = append(docs, found...)
			errs = append(errs, at(file, bad)...)
		}
	}
	if roots == 0 {
		errs = append(errs, &Error{File: file, Line: 1, Column: 1, Message: "the file is empty: it has no document"})
	}
	return docs, errs
}

func at(file string, errs []*Error) []*Error {
	for _, e := range errs {
		e.File = file
	}
	return errs
}

func readable(file string, data []byte) *Error {
	if i := bytes.IndexByte(data, 0); i >= 0 {
		return &Error{File: file, Message: "this is a binary file, not a manifest"}
	}
	if utf8.Valid(data) {
		return nil
	}
	line := 1
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		if r == utf8.RuneError && size == 1 {
			break
		}
		if r == '\n' {
			line++
		}
		data = data[size:]
	}
	return &Error{File: file, Line: line, Message: "the text is not valid UTF-8"}
}

// chunk is the text between two document markers; line is that of its start.
type chunk struct {
	text []byte
	line int
}

// split cuts at lines that start with ---. A marker after nothing but comments
// and directives belongs to those.
func split(data []byte) []chunk {
	var chunks []chunk
	current := chunk{line: 1}
	start, line, content := 0, 1, false
	for pos := 0; pos < len(data); line++ {
		end := len(data)
		if i := bytes.IndexByte(data[pos:], '\n'); i >= 0 {
			end = pos + i + 1
		}
		text := data[pos:end]
		if content && isMarker(text) {
			current.text = data[start:pos]
			chunks = append(chunks, current)
			current, start, content = chunk{line: line}, pos, false
		}
		content = content || isContent(text)
		pos = end
	}
	current.text = data[start:]
	return append(chunks, current)
}

func isMarker(line []byte) bool {
	return bytes.HasPrefix(line, []byte("---")) && (len(line) == 3 || bytes.IndexByte([]byte(" \t\r\n"), line[3]) >= 0)
}

func isContent(line []byte) bool {
	line = bytes.TrimSpace(line)
	return len(line) > 0 && line[0] != '#' && line[0] != '%' && !bytes.Equal(line, []byte("---"))
}

// trees parses the chunk's values. A JSON text is YAML in theory; in practice
// tabs and surrogate pairs make the difference, so it is tried as JSON first.
func (c chunk) trees() ([]*tree, []*Error) {
	if body, line, ok := c.json(); ok {
		trees, err := parseJSON(body, line)
		if err == nil {
			return trees, nil
		}
		if over := tooMuch(""); errors.As(err, &over) {
			return nil, []*Error{{Line: line, Message: err.Error()}}
		}
	}
	if n := countStructure(c.text); n > maxStructure {
		return nil, []*Error{{Line: c.line, Message: fmt.Sprintf("the document has more than %d values", maxStructure)}}
	}
	return c.yaml()
}

// json gives the chunk without its marker if it looks like JSON.
func (c chunk) json() (body []byte, line int, ok bool) {
	body, line = c.text, c.line
	if isMarker(body) {
		marker, rest, found := bytes.Cut(body, []byte("\n"))
		if !found || len(bytes.TrimSpace(marker)) != 3 {
			return nil, 0, false
		}
		body, line = rest, line+1
	}
	return body, line, bytes.HasPrefix(bytes.TrimSpace(body), []byte("{"))
}

func (c chunk) yaml() (trees []*tree, errs []*Error) {
	// The parser panics on its own bugs; input from a file must not end the program.
	defer func() {
		if p := recover(); p != nil {
			trees, errs = nil, []*Error{{Line: c.line, Message: "the YAML parser gave up on this document"}}
		}
	}()
	decoder := yaml.NewDecoder(bytes.NewReader(c.text))
	for {
		var node yaml.Node
		err := decoder.Decode(&node)
		if errors.Is(err, io.EOF) {
			return trees, nil
		}
		if err != nil {
			return nil, []*Error{c.syntax(err)}
		}
		e := expander{offset: c.line - 1, anchors: map[*yaml.Node]bool{}}
		t, err := e.expand(&node, 0)
		if err != nil {
			e.errs = append(e.errs, &Error{Line: c.line, Message: err.Error()})
		}
		if len(e.errs) > 0 {
			return nil, e.errs
		}
		if t.kind != null {
			trees = append(trees, t)
		}
	}
}

// yaml.v3 gives syntax errors as text only; the line stands in front.
var syntaxLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

func (c chunk) syntax(err error) *Error {
	message := err.Error()
	line := 1
	if m := syntaxLine.FindStringSubmatch(message); m != nil {
		message = strings.TrimPrefix(message, m[0])
		if n, err := strconv.Atoi(m[1]); err == nil {
			line = n
		}
	}
	return &Error{Line: c.line + line - 1, Message: "not valid YAML: " + message}
}

// explain adds what the lines look like that are not YAML.
func (c chunk) explain(errs []*Error) {
	for _, e := range errs {
		lines := bytes.SplitN(c.text, []byte("\n"), e.Line-c.line+2)
		if e.Line-c.line >= len(lines) {
			continue
		}
		text := lines[e.Line-c.line]
		indent := text[:len(text)-len(bytes.TrimLeft(text, " \t"))]
		switch {
		case bytes.IndexByte(indent, '\t') >= 0:
			e.Message += " (YAML is indented by spaces, not by tabs)"
		case bytes.Contains(text, []byte("{{")):
			e.Message += " ({{…}} is of a template, which is to be rendered first: helm template CHART | skiff apply -f -)"
		}
	}
}
