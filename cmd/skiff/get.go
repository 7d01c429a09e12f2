package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/cli-runtime/pkg/resource"
	kubectlget "k8s.io/kubectl/pkg/cmd/get"
)

func (p *program) get() *cobra.Command {
	return spec{
		name:  "get",
		short: "list objects",
		args:  "TYPE [NAME…] | TYPE/NAME… | -f FILE",
		examples: examples(
			"skiff get all",
			"skiff get pods -o wide -w           see Pods change",
			"skiff get deployment web -o yaml",
			"skiff get -f web.yaml",
			"skiff get pods -l app=web -o jsonpath='{.items[*].status.podIP}'",
			"skiff get events --sort-by=.lastTimestamp",
			"skiff get --raw /metrics            what Prometheus would read"),
		flags: func(f *flags) {
			fileFlags(f)
			f.String("output", "o", "", "`FORMAT`: wide, yaml, json, name, jsonpath=…, custom-columns=…, custom-columns-file=…")
			selectorFlag(f)
			f.String("field-selector", "", "", "only objects with these `FIELDS`: status.phase=Running")
			f.Bool("all-namespaces", "A", false, "in all namespaces")
			f.Bool("watch", "w", false, "after the list, show every change")
			f.Bool("watch-only", "", false, "show every change, not the list")
			f.Bool("show-labels", "", false, "labels as the last column")
			f.Strings("label-columns", "L", "the values of these `LABELS` as columns")
			f.Bool("show-kind", "", false, "the kind in front of every name")
			f.Bool("no-headers", "", false, "no line of column names")
			f.String("sort-by", "", "", "sort by the field at this `JSONPATH`: .metadata.creationTimestamp")
			f.Bool("show-managed-fields", "", false, "keep managedFields in yaml and json")
			f.Bool("ignore-not-found", "", false, "an object that does not exist is no error")
			f.String("raw", "", "", "print what the server answers at this `PATH`: /metrics")
		},
		run: p.runGet,
	}.command()
}

// getting is one run of the get command.
type getting struct {
	*program
	*request
	c       *call
	forUser bool // a table, not a format for programs
	sortBy  string
}

func (p *program) runGet(c *call) error {
	if path := c.String("raw"); path != "" {
		return p.getRaw(c, path)
	}
	r, err := p.servedRequest(c)
	if err != nil {
		return err
	}
	output := c.String("output")
	g := &getting{program: p, request: r, c: c, forUser: output == "" || output == "wide", sortBy: c.String("sort-by")}
	if c.Bool("show-labels") && !g.forUser {
		return fmt.Errorf("--show-labels option cannot be used with %s printer", output)
	}
	if len(r.args) == 0 && !r.byFile {
		return c.usage("you must specify the type of resource to get: pods, deployments, services, all …")
	}
	if c.Bool("watch") || c.Bool("watch-only") {
		if r.unserved != nil {
			return r.unserved
		}
		return g.watch()
	}
	return utilerrors.NewAggregate([]error{g.list(), r.unserved})
}

func (g *getting) list() error {
	result, err := g.find()
	if err != nil {
		return err
	}
	if g.forUser {
		return g.printTables(result)
	}
	return g.printObjects(result)
}

// getRaw prints an answer of the server as it comes.
func (p *program) getRaw(c *call, path string) error {
	if len(c.args) > 0 || len(c.StringSlice("filename")) > 0 {
		return c.usage("arguments may not be passed when --raw is specified")
	}
	r, err := p.request(c)
	if err != nil {
		return err
	}
	client, err := r.clientset()
	if err != nil {
		return err
	}
	answer, err := client.Discovery().RESTClient().Get().RequestURI(path).Stream(c.ctx)
	if err != nil {
		return err
	}
	defer answer.Close()
	_, err = io.Copy(p.Out, answer)
	return err
}

func (g *getting) find() (*resource.Result, error) {
	b, err := g.request.builder(untyped)
	if err != nil {
		return nil, err
	}
	result := g.narrow(b).ResourceTypeOrNameArgs(true, g.request.args...).Flatten().Do()
	if g.c.Bool("ignore-not-found") {
		result.IgnoreErrors(apierrors.IsNotFound)
	}
	return result, result.Err()
}

func (g *getting) narrow(b *resource.Builder) *resource.Builder {
	chunk := int64(500)
	if g.sortBy != "" {
		chunk = 0
	}
	return b.AllNamespaces(g.c.Bool("all-namespaces")).
		LabelSelectorParam(g.c.String("selector")).
		FieldSelectorParam(g.c.String("field-selector")).
		RequestChunksOf(chunk).
		Latest().
		TransformRequests(g.askForTable)
}

func (g *getting) printer(mapping *meta.RESTMapping, withNamespace, withKind bool) (printers.ResourcePrinter, error) {
	output := g.c.String("output")
	var printer printers.ResourcePrinter
	var err error
	switch {
	case g.forUser:
		printer = g.tablePrinter(mapping, withNamespace, withKind)
	case strings.HasPrefix(output, "custom-columns"):
		printer, err = columnsPrinter(output, g.c.Bool("no-headers"))
	default:
		printer, err = formatPrinter(output, g.c.Bool("show-managed-fields"))
	}
	if err != nil {
		return nil, err
	}
	printer = withKinds(printer)
	if g.sortBy != "" {
		printer = &kubectlget.SortingPrinter{Delegate: printer, SortField: g.sortBy}
	}
	if g.forUser {
		printer = &kubectlget.TablePrinter{Delegate: printer}
	}
	return printer, nil
}

// printObjects prints for programs: one object as it is, several as a List.
func (g *getting) printObjects(result *resource.Result) error {
	single := false
	infos, err := result.IntoSingleItemImplied(&single).Infos()
	if err != nil && single {
		return err
	}
	var errs []error
	if err != nil {
		errs = append(errs, err)
	}
	single = single || g.byFile && len(g.docs) == 1 && g.unserved == nil
	if len(infos) == 0 && g.c.Bool("ignore-not-found") {
		return utilerrors.NewAggregate(errs)
	}
	printer, err := g.printer(nil, false, false)
	if err != nil {
		return err
	}
	var obj runtime.Object = listOf(infos)
	if single && len(infos) == 1 {
		obj = infos[0].Object
	}
	if err := printer.PrintObj(obj, g.Out); err != nil {
		errs = append(errs, err)
	}
	return utilerrors.NewAggregate(errs)
}

func listOf(infos []*resource.Info) *unstructured.UnstructuredList {
	list := &unstructured.UnstructuredList{Object: map[string]any{
		"apiVersion": corev1.SchemeGroupVersion.String(), "kind": "List", "metadata": map[string]any{"resourceVersion": ""},
	}}
	for _, info := range infos {
		if u, ok := info.Object.(*unstructured.Unstructured); ok {
			list.Items = append(list.Items, *u)
		}
	}
	return list
}
