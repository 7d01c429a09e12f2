package main

import (
	"io"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/client-go/rest"
	kubectlget "k8s.io/kubectl/pkg/cmd/get"
)

// askForTable has the server lay out the columns; it knows its kinds best.
func (g *getting) askForTable(request *rest.Request) {
	if !g.forUser {
		return
	}
	request.SetHeader("Accept", strings.Join([]string{
		"application/json;as=Table;v=v1;g=meta.k8s.io",
		"application/json;as=Table;v=v1beta1;g=meta.k8s.io",
		"application/json",
	}, ","))
	if g.sortBy != "" {
		request.Param("includeObject", "Object")
	}
}

func (g *getting) tablePrinter(mapping *meta.RESTMapping, withNamespace, withKind bool) printers.ResourcePrinter {
	options := printers.PrintOptions{
		NoHeaders:     g.c.Bool("no-headers"),
		Wide:          g.c.String("output") == "wide",
		WithNamespace: withNamespace,
		WithKind:      withKind || g.c.Bool("show-kind"),
		ShowLabels:    g.c.Bool("show-labels"),
		ColumnLabels:  g.c.StringSlice("label-columns"),
	}
	if mapping != nil {
		options.Kind = mapping.GroupVersionKind.GroupKind()
	}
	return printers.NewTablePrinter(options)
}

func (g *getting) printTables(result *resource.Result) error {
	infos, err := result.Infos()
	var errs []error
	if err != nil {
		errs = append(errs, err)
	}
	if g.sortBy != "" {
		objects := make([]runtime.Object, len(infos))
		for i, info := range infos {
			objects[i] = info.Object
		}
		sorter := kubectlget.NewRuntimeSorter(objects, g.sortBy)
		if err := sorter.Sort(); err != nil {
			return err
		}
		sorted := make([]*resource.Info, len(infos))
		for i := range infos {
			sorted[i] = infos[sorter.OriginalPosition(i)]
		}
		infos = sorted
	}
	written, err := g.printEach(infos)
	if err != nil {
		errs = append(errs, err)
	}
	if written == 0 && len(errs) == 0 && !g.c.Bool("ignore-not-found") {
		g.sayNothingFound(infos)
	}
	return utilerrors.NewAggregate(errs)
}

// printEach prints one table per kind, with empty lines between them.
func (g *getting) printEach(infos []*resource.Info) (written int, err error) {
	out := &spacedWriter{Writer: g.Out}
	tabs := printers.GetNewTabWriter(out)
	several := false
	for _, info := range infos {
		several = several || info.Mapping.GroupVersionKind != infos[0].Mapping.GroupVersionKind
	}
	var printer printers.ResourcePrinter
	var last *meta.RESTMapping
	for _, info := range infos {
		if last == nil || info.Mapping.Resource != last.Resource {
			if err := tabs.Flush(); err != nil {
				return out.written, err
			}
			tabs.SetRememberedWidths(nil)
			out.space = out.written > 0 && !g.c.Bool("no-headers")
			withNamespace := g.c.Bool("all-namespaces") && info.Namespaced()
			if printer, err = g.printer(info.Mapping, withNamespace, several); err != nil {
				return out.written, err
			}
			last = info.Mapping
		}
		if err := printer.PrintObj(info.Object, tabs); err != nil {
			return out.written, err
		}
	}
	return out.written, tabs.Flush()
}

func (g *getting) sayNothingFound(infos []*resource.Info) {
	namespaced := !g.c.Bool("all-namespaces")
	for _, info := range infos {
		namespaced = namespaced && info.Namespaced()
	}
	if namespaced {
		printf(g.ErrOut, "No resources found in %s namespace.\n", g.request.namespace)
	} else {
		printf(g.ErrOut, "No resources found\n")
	}
}

// spacedWriter puts an empty line before the next text if space is set.
type spacedWriter struct {
	io.Writer
	space   bool
	written int
}

func (w *spacedWriter) Write(text []byte) (int, error) {
	if len(text) > 0 && w.space {
		w.space = false
		if _, err := w.Writer.Write([]byte("\n")); err != nil {
			return 0, err
		}
	}
	n, err := w.Writer.Write(text)
	w.written += n
	return n, err
}
