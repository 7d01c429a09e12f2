package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/kubectl/pkg/cmd/util/editor"

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
