package main

import (
	"bytes"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/kubectl/pkg/scheme"

	"skiff/orchestrator/manifest"
)

// request is a command's way to the objects it names, by -f or as TYPE/NAME.
type request struct {
	*connection
	namespace string
	explicit  bool // the user named the namespace
	docs      []*manifest.Document
	unserved  error // names the documents whose kinds the server does not have
	byFile    bool
	args      []string
}

// request reads the manifests that -f names and checks that the server has
// their kinds; nothing is sent before all of them are sound.
func (p *program) request(c *call) (*request, error) {
	r, err := p.servedRequest(c)
	if err != nil {
		return nil, err
	}
	return r, r.unserved
}

// servedRequest is request for commands that go on, as kubectl's do, with the
// documents whose kinds the server has, if there are any. They are to report the
// others.
func (p *program) servedRequest(c *call) (*request, error) {
	r := &request{args: c.args, byFile: len(c.StringSlice("filename")) > 0}
	if r.byFile {
		var err error
		r.docs, err = manifest.Load(c.ctx, manifest.Options{
			Files: c.StringSlice("filename"), Recursive: c.Bool("recursive"), Stdin: p.In,
		})
		if err != nil {
			return nil, err
		}
	}
	var err error
	if r.connection, err = p.connect(c); err != nil {
		return nil, err
	}
	if r.namespace, r.explicit, err = r.connection.namespace(); err != nil {
		return nil, err
	}
	if err := r.setApart(); err != nil {
		return nil, err
	}
	switch {
	case !r.byFile || len(r.docs) > 0:
		return r, nil
	case r.unserved != nil:
		return nil, r.unserved
	}
	return nil, fmt.Errorf("no objects passed to %s", c.command.Name()) // of an empty List
}

// setApart leaves the documents whose kinds the server has.
func (r *request) setApart() error {
	var served []*manifest.Document
	var unserved manifest.Errors
	for _, d := range r.docs {
		mapper, err := r.ToRESTMapper()
		if err != nil {
			return err
		}
		gvk := d.Object.GroupVersionKind()
		_, err = mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
		switch {
		case meta.IsNoMatchError(err):
			unserved = append(unserved, &manifest.Error{File: d.File, Line: d.Line("kind"), Path: "kind", Message: err.Error() + servedAs(mapper, gvk)})
		case err != nil:
			return err
		default:
			served = append(served, d)
		}
	}
	if r.docs = served; len(unserved) > 0 {
		r.unserved = unserved
	}
	return nil
}

// servedAs says in which version the server has a kind: manifests outlive those
// that they were written for.
func servedAs(mapper meta.RESTMapper, gvk schema.GroupVersionKind) string {
	plural, _ := meta.UnsafeGuessKindToResource(gvk)
	found, err := mapper.KindFor(schema.GroupVersionResource{Resource: plural.Resource})
	if err != nil || found.Kind != gvk.Kind {
		return ""
	}
	return "; it is served as apiVersion: " + found.GroupVersion().String()
}

// typed has objects decoded into the Go types that kubectl's packages work on.
func typed(b *resource.Builder) *resource.Builder {
	return b.WithScheme(scheme.Scheme, scheme.Scheme.PrioritizedVersionsAllGroups()...)
}

// untyped leaves objects exactly as they were received.
func untyped(b *resource.Builder) *resource.Builder { return b.Unstructured() }

// builder begins the search: in the request's namespace, from its manifests.
// Whatever TYPE and NAME the user gave is up to the caller.
func (r *request) builder(decode func(*resource.Builder) *resource.Builder) (*resource.Builder, error) {
	b := decode(r.connection.builder()).NamespaceParam(r.namespace).DefaultNamespace().ContinueOnError()
	if r.explicit {
		b.RequireNamespace()
	}
	for _, d := range r.docs {
		raw, err := d.Object.MarshalJSON()
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", d.Source(), err)
		}
		b.Stream(bytes.NewReader(raw), d.Source())
	}
	return b, nil
}

// document is the one that info was made from, nil for those named otherwise.
func (r *request) document(info *resource.Info) *manifest.Document {
	for _, d := range r.docs {
		if d.Source() == info.Source && d.Object.GetName() == info.Name {
			return d
		}
	}
	return nil
}

// explain puts file and line to an error about info's document.
func (r *request) explain(info *resource.Info, err error) error {
	if d := r.document(info); d != nil {
		return d.Explain(err)
	}
	return err
}

// live gives the named objects as they are on the server, decoded into Go types
// where these are known. It is how the commands start that change what exists.
func (r *request) live(selector string, all bool) ([]*resource.Info, error) {
	if len(r.args) == 0 && !r.byFile {
		return nil, errors.New("required resource not specified")
	}
	b, err := r.builder(typed)
	if err != nil {
		return nil, err
	}
	return b.LabelSelectorParam(selector).
		ResourceTypeOrNameArgs(all, r.args...).
		Latest().Flatten().Do().Infos()
}

// orAll gives the objects of a manifest that a command can do something with: a
// Deployment is often in one file with its Service. Where there is none, it gives
// all, and the command's own error says what is wrong with them.
func orAll(infos []*resource.Info, fits func(*resource.Info) bool) []*resource.Info {
	var kept []*resource.Info
	for _, info := range infos {
		if fits(info) {
			kept = append(kept, info)
		}
	}
	if len(kept) == 0 {
		return infos
	}
	return kept
}
