package main

import (
	"bytes"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/cli-runtime/pkg/resource"

	"skiff/orchestrator/manifest"
)

// asYAML writes one object as it is and several as a List, without the managed
// fields, which nobody edits.
func asYAML(infos []*resource.Info) ([]byte, error) {
	var obj runtime.Object = listOf(infos)
	if len(infos) == 1 {
		obj = infos[0].Object
	}
	var out bytes.Buffer
	printer := &printers.OmitManagedFieldsPrinter{Delegate: &printers.YAMLPrinter{}}
	err := printer.PrintObj(obj, &out)
	return out.Bytes(), err
}

// problem is something that the server, or skiff before it, does not accept in
// the edited text. Its lines are those of the text without comments.
type problem struct {
	head string
	errs manifest.Errors
}

const editHeader = `# Please edit the object below. Lines beginning with a '#' will be ignored,
# and an empty file will abort the edit. If an error occurs while saving this file will be
# reopened with the relevant failures.
#
`

// header stands above the text in the editor. The lines that it names are those
// of the file with the header in it.
func header(problems []problem) []byte {
	offset := strings.Count(editHeader, "\n")
	for _, p := range problems {
		offset += 2 + len(p.errs)
	}
	var b strings.Builder
	b.WriteString(editHeader)
	for _, p := range problems {
		fmt.Fprintf(&b, "# %s:\n", oneLine(p.head))
		for _, err := range p.errs {
			text := err.Message
			if err.Path != "" {
				text = err.Path + ": " + text
			}
			fmt.Fprintf(&b, "# * line %d: %s\n", err.Line+offset, oneLine(text))
		}
		b.WriteString("#\n")
	}
	return []byte(b.String())
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

func withoutComments(text []byte) []byte {
	var out bytes.Buffer
	for line := range bytes.Lines(text) {
		if !bytes.HasPrefix(line, []byte("#")) {
			out.Write(line)
		}
	}
	return out.Bytes()
}
