// Package check tells, without a daemon, what skiff would say to manifests: what
// it refuses and what it warns about, by the very rules of the API, and what
// would be different on a cluster.
package check

import (
	"cmp"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"

	"skiff/orchestrator/manifest"
	"skiff/orchestrator/resource"
)

// Level is how much a finding matters.
type Level string

const (
	// Refused is what apply would fail on.
	Refused Level = "refused"
	// Warning is what is accepted and has no effect, or is likely a mistake.
	Warning Level = "warning"
	// Cluster is what works here and would be different on a cluster.
	Cluster Level = "cluster"
)

// Finding is one thing to know about a manifest.
type Finding struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Level   Level  `json:"level"`
	Path    string `json:"path,omitempty"` // of the field
	Message string `json:"message"`
}

func (f Finding) String() string {
	where := f.File
	if f.Line > 0 {
		where += fmt.Sprintf(":%d", f.Line)
	}
	if f.Path == "" {
		return fmt.Sprintf("%s: %s: %s", where, f.Level, f.Message)
	}
	return fmt.Sprintf("%s: %s: %s: %s", where, f.Level, f.Path, f.Message)
}

// Manifests gives the findings about documents and about what kept others from
// being documents, those of a file in the order of its lines.
func Manifests(docs []*manifest.Document, broken manifest.Errors) []Finding {
	var files []string
	var found []Finding
	add := func(f Finding) {
		if !slices.Contains(files, f.File) {
			files = append(files, f.File)
		}
		found = append(found, f)
	}
	for _, e := range broken {
		add(Finding{File: e.File, Line: e.Line, Level: Refused, Path: e.Path, Message: e.Message})
	}
	all := resource.All(resource.Options{})
	together := gather(docs)
	served := map[schema.GroupVersionKind]*resource.Definition{}
	for _, d := range all {
		served[d.GVK] = d
	}
	for _, d := range docs {
		gvk := d.Object.GroupVersionKind()
		if served[gvk] == nil {
			add(Finding{File: d.File, Line: d.Line("kind"), Level: Refused, Path: "kind",
				Message: fmt.Sprintf("skiff does not serve kind %q of %s", gvk.Kind, gvk.GroupVersion()) + servedAs(all, gvk.Kind)})
			continue
		}
		for _, f := range document(d, served[gvk], together) {
			add(f)
		}
	}
	for _, f := range together.findings(docs) {
		add(f)
	}
	slices.SortStableFunc(found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(slices.Index(files, a.File), slices.Index(files, b.File)), cmp.Compare(a.Line, b.Line))
	})
	return found
}

// servedAs says in which version a kind is served: manifests outlive those that
// they were written for.
func servedAs(all []*resource.Definition, kind string) string {
	for _, d := range all {
		if d.GVK.Kind == kind {
			return "; it is served as apiVersion: " + d.GVK.GroupVersion().String()
		}
	}
	return ""
}

// document gives the findings about one document.
func document(d *manifest.Document, definition *resource.Definition, others set) []Finding {
	var found []Finding
	add := func(level Level, path, message string) {
		f := Finding{File: d.File, Line: d.Line(path), Level: level, Path: path, Message: message}
		if !slices.Contains(found, f) {
			found = append(found, f)
		}
	}
	obj, err := prepared(d, definition)
	if err != nil {
		add(Refused, "", err.Error())
		return found
	}
	if definition.Validate != nil {
		for _, e := range definition.Validate(obj) {
			add(Refused, e.Field, e.ErrorBody())
		}
	}
	var warnings []string
	if definition.Warnings != nil {
		warnings = definition.Warnings(obj, nil)
	}
	if definition.WarningsAmong != nil {
		warnings = append(warnings, definition.WarningsAmong(obj, others.lookup)...)
	}
	for _, w := range warnings {
		path, text := d.SplitPath(w)
		if path != "" && slices.ContainsFunc(found, func(f Finding) bool { return f.Level == Refused && f.Path == path }) {
			continue // that it is likely a mistake has been said
		}
		add(Warning, path, text)
	}
	for _, n := range onCluster(obj) {
		add(Cluster, n.path.String(), n.text)
	}
	return found
}

// prepared is the object as the API would have it before it looks for errors.
func prepared(d *manifest.Document, definition *resource.Definition) (runtime.Object, error) {
	obj, err := scheme.Scheme.New(definition.GVK)
	if err != nil {
		return nil, err
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(d.Object.Object, obj); err != nil {
		return nil, fmt.Errorf("read %s: %w", definition.GVK.Kind, err)
	}
	if meta, ok := obj.(metav1.Object); ok {
		if meta.GetName() == "" {
			meta.SetName(meta.GetGenerateName() + "xxxxx")
		}
		if meta.GetNamespace() == "" && definition.Namespaced {
			meta.SetNamespace(metav1.NamespaceDefault)
		}
	}
	if definition.Default != nil {
		definition.Default(obj)
	}
	if definition.PrepareCreate != nil {
		definition.PrepareCreate(obj)
	}
	return obj, nil
}
