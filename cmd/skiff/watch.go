package main

import (
	"errors"
	"io"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/cli-runtime/pkg/resource"
)

// tabs lines up columns until it is flushed.
type tabs interface {
	io.Writer
	Flush() error
}

// watch prints the list and then every change, until the user has seen enough.
func (g *getting) watch() error {
	b, err := g.request.builder(untyped)
	if err != nil {
		return err
	}
	result := g.narrow(b).ResourceTypeOrNameArgs(true, g.request.args...).SingleResourceType().Do()
	infos, err := result.Infos()
	if apierrors.IsNotFound(err) && g.c.Bool("ignore-not-found") {
		return nil
	}
	if err != nil {
		return err
	}
	if len(infos) == 0 {
		return errors.New("nothing to watch")
	}
	obj, err := result.Object()
	if err != nil {
		return err
	}
	printer, err := g.printer(infos[0].Mapping, g.c.Bool("all-namespaces"), false)
	if err != nil {
		return err
	}
	out := printers.GetNewTabWriter(g.Out)
	if err := printFirst(printer, obj, out, g.c.Bool("watch-only")); err != nil {
		return err
	}
	return g.follow(result, obj, printer, out)
}

// printFirst prints what is there; with headersOnly, only its columns' names.
func printFirst(printer printers.ResourcePrinter, obj runtime.Object, out tabs, headersOnly bool) error {
	objects := []runtime.Object{obj}
	if meta.IsListType(obj) {
		var err error
		if objects, err = meta.ExtractList(obj); err != nil {
			return err
		}
	}
	for _, o := range objects {
		if headersOnly {
			o = withoutRows(o)
		}
		if o == nil {
			continue
		}
		if err := printer.PrintObj(o, out); err != nil {
			return err
		}
	}
	return out.Flush()
}

func withoutRows(obj runtime.Object) runtime.Object {
	u, ok := obj.(*unstructured.Unstructured)
	if !ok || u.GetKind() != "Table" {
		return nil
	}
	u = u.DeepCopy()
	unstructured.RemoveNestedField(u.Object, "rows")
	return u
}

// follow watches from the list's version. A single object is watched from any
// version, which makes the server begin with the object as it is; that has been
// printed already.
func (g *getting) follow(result *resource.Result, obj runtime.Object, printer printers.ResourcePrinter, out tabs) error {
	version, repeated := "0", true
	if meta.IsListType(obj) {
		repeated = false
		var err error
		if version, err = meta.NewAccessor().ResourceVersion(obj); err != nil {
			return err
		}
	}
	events, err := result.Watch(version)
	if err != nil {
		return err
	}
	defer events.Stop()
	for {
		select {
		case <-g.c.ctx.Done():
			return nil
		case event, open := <-events.ResultChan():
			if !open {
				return errors.New("the server ended the watch")
			}
			if event.Type == watch.Error {
				return apierrors.FromObject(event.Object)
			}
			if event.Type == watch.Bookmark {
				continue
			}
			if repeated {
				repeated = false
				continue
			}
			if err := printer.PrintObj(event.Object, out); err != nil {
				return err
			}
			if err := out.Flush(); err != nil {
				return err
			}
		}
	}
}
