// Package manifest turns YAML and JSON files into objects of the Kubernetes API.
// It keeps the line of every value, so that what is wrong with a document can be
// told with file, line and field path, whether this package finds it or a server.
package manifest

import (
	"context"
	"fmt"
	"io"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Document is one object of a manifest.
type Document struct {
	File   string
	Object *unstructured.Unstructured

	root *tree
}

// Line is where the field stands; for a field that the document does not have,
// where the nearest field around it does.
func (d *Document) Line(path string) int {
	return d.root.locate(path).Line
}

// Source names the document as file:line.
func (d *Document) Source() string {
	return fmt.Sprintf("%s:%d", d.File, d.root.at.Line)
}

// Error is one thing that is wrong in a manifest.
type Error struct {
	File         string
	Line, Column int
	Path         string
	Message      string
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	b.WriteString(": ")
	if e.Path != "" {
		b.WriteString(e.Path + ": ")
	}
	b.WriteString(e.Message)
	return b.String()
}

// Errors is everything that is wrong, in the order of the files.
type Errors []*Error

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Options says where manifests come from.
type Options struct {
	// Files are paths of files or directories, http(s) URLs, or - for Stdin.
	Files []string
	// Recursive makes directories give the manifests below them as well.
	Recursive bool
	Stdin     io.Reader
}

// Load reads and checks everything that opts names. The error is of type Errors
// where the content is to blame. There are no documents next to an error: what
// is in several files belongs together, and half of it should not be sent.
func Load(ctx context.Context, opts Options) ([]*Document, error) {
	docs, errs, err := Read(ctx, opts)
	if err != nil {
		return nil, err
	}
	if len(errs) > 0 {
		return nil, errs
	}
	return docs, nil
}

// Read is Load for those who look at the sound documents next to the others. It
// counts those as sound that have unknown fields, which are among the Errors.
func Read(ctx context.Context, opts Options) ([]*Document, Errors, error) {
	sources, err := expand(opts)
	if err != nil {
		return nil, nil, err
	}
	var docs []*Document
	var errs Errors
	total := 0
	for _, s := range sources {
		data, err := s.read(ctx, opts.Stdin)
		if err != nil {
			return nil, nil, err
		}
		if total += len(data); total > maxTotal {
			return nil, nil, fmt.Errorf("manifests are more than %d MB together", maxTotal>>20)
		}
		found, bad := parse(s.name, data)
		docs = append(docs, found...)
		errs = append(errs, bad...)
	}
	return docs, errs, nil
}

// Parse reads and checks the documents in data, which came from file.
func Parse(file string, data []byte) ([]*Document, error) {
	docs, errs := parse(file, data)
	if len(errs) > 0 {
		return nil, errs
	}
	return docs, nil
}
