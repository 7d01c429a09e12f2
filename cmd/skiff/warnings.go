package main

import (
	"fmt"
	"io"
	"sync"

	"skiff/orchestrator/manifest"
)

// warnings prints what servers warn about, each once, and with the line that it
// is about while a document of a manifest is being sent.
type warnings struct {
	mu      sync.Mutex // guards all below
	out     io.Writer
	printed map[string]bool
	about   *manifest.Document
}

func newWarnings(out io.Writer) *warnings {
	return &warnings{out: out, printed: map[string]bool{}}
}

// During names the document that requests are about until it is called again.
func (w *warnings) During(d *manifest.Document) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.about = d
}

// HandleWarningHeader implements rest.WarningHandler. 299 is the only code that
// is a warning of the API; others come from proxies in between.
func (w *warnings) HandleWarningHeader(code int, _, text string) {
	if code == 299 && text != "" {
		w.Warn(text)
	}
}

func (w *warnings) Warn(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.about != nil {
		text = w.about.Cite(text)
	}
	if !w.printed[text] {
		w.printed[text] = true
		fmt.Fprintln(w.out, "Warning: "+text)
	}
}
