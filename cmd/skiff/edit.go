package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/jsonmergepatch"
	"k8s.io/apimachinery/pkg/util/mergepatch"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/kubectl/pkg/cmd/util/editor"
	"k8s.io/kubectl/pkg/scheme"

	"skiff/orchestrator/manifest"
)

func (p *program) edit() *cobra.Command {
	return spec{
		name:  "edit",
		short: "change objects in an editor",
		args:  "TYPE/NAME… | TYPE NAME | -f FILE",
		long: `The editor is $KUBE_EDITOR, else $EDITOR, else vi. Where the server does not
accept the change, the editor opens again and says why.`,
		examples: examples(
			"skiff edit deployment/web",
			"skiff edit -f deploy/go-demo-2-db.yml",
			"KUBE_EDITOR='code --wait' skiff edit service/web"),
		flags: func(f *flags) {
			fileFlags(f)
			recordFlag(f)
			outputFlag(f)
		},
		run: p.runEdit,
	}.command()
}

// editing is one run of the edit command: the objects as they were, and what is
// wrong with the text so far.
type editing struct {
	*program
	c        *call
	r        *request
	infos    []*resource.Info
	recorder genericclioptions.Recorder
	original []byte
	problems []problem
}

// problem is something that the server, or skiff before it, does not accept in
// the edited text. Its lines are those of the text without comments.
type problem struct {
	head string
	errs manifest.Errors
}

func (p *program) runEdit(c *call) error {
	r, err := p.request(c)
	if err != nil {
		return err
	}
	recorder, err := p.recorder(c)
	if err != nil {
		return err
	}
	if len(r.args) == 0 && !r.byFile {
		return c.usage("must specify what to edit: TYPE/NAME, or a manifest with -f")
	}
	b, err := r.builder(untyped)
	if err != nil {
		return err
	}
	infos, err := b.ResourceTypeOrNameArgs(true, r.args...).Latest().Flatten().Do().Infos()
	if err != nil {
		return err
	}
	if len(infos) == 0 {
		return errors.New("edit cancelled, no objects found")
	}
	e := &editing{program: p, c: c, r: r, infos: infos, recorder: recorder}
	if e.original, err = asYAML(infos); err != nil {
		return err
	}
	return e.loop()
}

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

// loop opens the editor until the server has taken the change or the user has
// given up on it.
func (e *editing) loop() error {
	open := editor.NewDefaultEditor([]string{"KUBE_EDITOR", "EDITOR"})
	text, previous := e.original, []byte(nil)
	for {
		edited, file, err := open.LaunchTempFile("skiff-edit-", ".yaml", bytes.NewReader(append(header(e.problems), text...)))
		if err != nil {
			return e.keep(file, err)
		}
		content := withoutComments(edited)
		switch {
		case len(bytes.TrimSpace(content)) == 0:
			return e.cancel(file, "Edit cancelled, saved file was empty.")
		case previous != nil && bytes.Equal(content, previous):
			err := e.keep(file, errReported)
			printf(e.ErrOut, "error: Edit cancelled, no valid changes were saved.\n")
			return err
		case bytes.Equal(content, withoutComments(e.original)):
			return e.cancel(file, "Edit cancelled, no changes made.")
		}
		e.problems = nil
		if err := e.save(content); err != nil {
			return e.keep(file, err)
		}
		if len(e.problems) == 0 {
			return os.Remove(file)
		}
		if err := os.Remove(file); err != nil {
			return err
		}
		text, previous = content, content
	}
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

func (e *editing) cancel(file, message string) error {
	printf(e.ErrOut, "%s\n", message)
	return os.Remove(file)
}

func (e *editing) keep(file string, err error) error {
	if file != "" {
		printf(e.ErrOut, "A copy of your changes has been stored to %q\n", file)
	}
	return err
}

func withoutComments(text []byte) []byte {
	var out bytes.Buffer
	for line := range bytes.Lines(text) {
		if !bytes.HasPrefix(line, []byte("#")) {
			out.Write(line)
		}
	}
	return out.Bytes()
}

// save sends the objects that were changed. What the user can put right goes to
// problems; an error ends the edit.
func (e *editing) save(content []byte) error {
	docs, err := manifest.Parse("edited file", content)
	if err != nil {
		return e.reopen("The edited file is not valid", err)
	}
	for _, doc := range docs {
		info := e.find(doc)
		if info == nil {
			e.problems = append(e.problems, problem{head: fmt.Sprintf("%s %q is not one of the objects that are being edited; kind, name and namespace cannot be changed",
				doc.Object.GetKind(), doc.Object.GetName())})
			return nil
		}
		if err := e.saveOne(info, doc); err != nil {
			return err
		}
	}
	return nil
}

// reopen has the editor open again if err is about the text; any other ends the
// edit.
func (e *editing) reopen(head string, err error) error {
	var errs manifest.Errors
	if !errors.As(err, &errs) {
		return err
	}
	e.problems = append(e.problems, problem{head, errs})
	return nil
}

func (e *editing) find(doc *manifest.Document) *resource.Info {
	for _, info := range e.infos {
		gvk := info.Object.GetObjectKind().GroupVersionKind()
		if doc.Object.GroupVersionKind() == gvk && doc.Object.GetName() == info.Name && doc.Object.GetNamespace() == info.Namespace {
			return info
		}
	}
	return nil
}

func (e *editing) saveOne(info *resource.Info, doc *manifest.Document) error {
	patch, _, err := editPatch(info, doc.Object)
	if err != nil {
		return err
	}
	if string(patch) == "{}" {
		return e.say(e.c, info.Object, "skipped")
	}
	if err := e.recorder.Record(doc.Object); err != nil {
		return err
	}
	patch, kind, err := editPatch(info, doc.Object)
	if err != nil {
		return err
	}
	changed, err := resource.NewHelper(info.Client, info.Mapping).
		WithFieldManager("skiff-edit").WithFieldValidation("Strict").
		Patch(info.Namespace, info.Name, kind, patch, nil)
	if apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) {
		printf(e.ErrOut, "error: %s %q is invalid\n", info.Mapping.Resource.GroupResource(), info.Name)
		return e.reopen(fmt.Sprintf("%s %q was not valid", info.Mapping.Resource.GroupResource(), info.Name), doc.Explain(err))
	}
	if err != nil {
		return fmt.Errorf("%s %q could not be patched: %w", info.Mapping.Resource.GroupResource(), info.Name, err)
	}
	if err := info.Refresh(changed, true); err != nil {
		return err
	}
	return e.say(e.c, info.Object, "edited")
}

// editPatch is what has changed between the object that the editor was given and
// the one that came back; what others change meanwhile stays as they made it.
func editPatch(info *resource.Info, edited *unstructured.Unstructured) ([]byte, types.PatchType, error) {
	original, ok := info.Object.(*unstructured.Unstructured)
	if !ok {
		return nil, "", fmt.Errorf("edit %s: unexpected object", info.ObjectName())
	}
	before := original.DeepCopy()
	before.SetManagedFields(nil)
	old, err := before.MarshalJSON()
	if err != nil {
		return nil, "", err
	}
	now, err := edited.MarshalJSON()
	if err != nil {
		return nil, "", err
	}
	versioned, err := scheme.Scheme.New(info.Mapping.GroupVersionKind)
	if runtime.IsNotRegisteredError(err) {
		patch, err := jsonmergepatch.CreateThreeWayJSONMergePatch(old, now, old)
		return patch, types.MergePatchType, err
	}
	if err != nil {
		return nil, "", err
	}
	patch, err := strategicpatch.CreateTwoWayMergePatch(old, now, versioned,
		mergepatch.RequireKeyUnchanged("apiVersion"), mergepatch.RequireKeyUnchanged("kind"), mergepatch.RequireMetadataKeyUnchanged("name"))
	if mergepatch.IsPreconditionFailed(err) {
		err = errIdentityChanged
	}
	return patch, types.StrategicMergePatchType, err
}
