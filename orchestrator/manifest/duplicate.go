package manifest

import "fmt"

// Duplicates are documents that describe what another one before them describes
// already: of two, one would be lost. namespace is that of documents which name
// none.
func Duplicates(docs []*Document, namespace string) Errors {
	type identity struct{ group, kind, namespace, name string }
	var errs Errors
	first := map[identity]*Document{}
	for _, d := range docs {
		gvk := d.Object.GroupVersionKind()
		id := identity{gvk.Group, gvk.Kind, d.Object.GetNamespace(), d.Object.GetName()}
		if id.namespace == "" {
			id.namespace = namespace
		}
		switch before := first[id]; {
		case id.name == "": // the server makes one up
		case before == nil:
			first[id] = d
		default:
			errs = append(errs, &Error{
				File: d.File, Line: d.Line("metadata.name"), Path: "metadata.name",
				Message: fmt.Sprintf("%s %q is described twice, first at %s:%d", gvk.Kind, id.name, before.File, before.Line("metadata.name")),
			})
		}
	}
	return errs
}
