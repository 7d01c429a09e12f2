package manifest

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
)

// objects checks one parsed document and takes lists apart. One in which nothing is
// wrong but that there are unknown fields comes with the errors about those.
func objects(file string, root *tree) ([]*Document, []*Error) {
	if root.kind != mapping {
		return nil, []*Error{fault(root.at, "", "expected an object with apiVersion, kind and metadata, got %s", root.kind)}
	}
	gvk, errs := identify(root)
	if len(errs) > 0 {
		return nil, errs
	}
	if items := root.get("items"); items != nil && strings.HasSuffix(gvk.Kind, "List") {
		return flatten(file, items, gvk)
	}
	c := checker{}
	if t, known := scheme.Scheme.AllKnownTypes()[gvk]; known {
		c.check(t, root, "")
	} else if metadata := root.get("metadata"); metadata != nil {
		c.check(reflect.TypeFor[metav1.ObjectMeta](), metadata, "metadata")
	}
	c.checkName(root, gvk)
	if c.unsound {
		return nil, c.errs
	}
	content, _ := root.value().(map[string]any)
	return []*Document{{File: file, Object: &unstructured.Unstructured{Object: content}, root: root}}, c.errs
}

// flatten gives the objects of a v1 List or of a typed one. The items of typed
// lists need not repeat their kind.
func flatten(file string, items *tree, list schema.GroupVersionKind) ([]*Document, []*Error) {
	var docs []*Document
	var errs []*Error
	if items.kind != sequence && items.kind != null {
		return nil, []*Error{fault(items.at, "items", "expected a list, got %s", items.kind)}
	}
	for _, item := range items.items {
		if kind := strings.TrimSuffix(list.Kind, "List"); kind != "" && item.kind == mapping {
			item.setDefault("apiVersion", list.GroupVersion().String())
			item.setDefault("kind", kind)
		}
		found, bad := objects(file, item)
		docs = append(docs, found...)
		errs = append(errs, bad...)
	}
	return docs, errs
}

func (t *tree) setDefault(key, value string) {
	if t.get(key) == nil {
		t.members = append(t.members, member{key, t.at, &tree{at: t.at, kind: text, scalar: value, written: value}})
	}
}

func fault(at position, path, format string, args ...any) *Error {
	return &Error{Line: at.Line, Column: at.Column, Path: path, Message: fmt.Sprintf(format, args...)}
}

// identify reads apiVersion and kind and says what is wrong with them.
func identify(root *tree) (gvk schema.GroupVersionKind, errs []*Error) {
	version, bad := root.word("apiVersion")
	errs = append(errs, bad...)
	kind, bad := root.word("kind")
	errs = append(errs, bad...)
	if version == "" && kind != "" && len(errs) == 1 {
		if homes := versionsOf(kind); len(homes) > 0 {
			errs[0].Message += fmt.Sprintf(" (%s is in %s)", kind, strings.Join(homes, ", "))
		}
	}
	if len(errs) > 0 {
		return gvk, errs
	}
	gv, err := schema.ParseGroupVersion(version)
	if err != nil {
		return gvk, []*Error{fault(root.locate("apiVersion"), "apiVersion", "%q is not of the form group/version", version)}
	}
	return gv.WithKind(kind), checkKind(root, gv.WithKind(kind))
}

func (t *tree) word(key string) (string, []*Error) {
	v := t.get(key)
	switch {
	case v == nil || v.kind == null || v.kind == text && v.scalar == "":
		return "", []*Error{fault(t.locate(key), key, "%s is missing", key)}
	case v.kind != text:
		return "", []*Error{fault(v.at, key, "expected a string, got %s", v.describe())}
	}
	return v.scalar, nil
}

// checkKind compares with the kinds of Kubernetes itself. Groups with a dot may
// be anybody's and are left to the server.
func checkKind(root *tree, gvk schema.GroupVersionKind) []*Error {
	gv := gvk.GroupVersion()
	switch {
	case scheme.Scheme.Recognizes(gvk):
		return nil
	case scheme.Scheme.IsVersionRegistered(gv):
		message := fmt.Sprintf("no kind %q in %s", gvk.Kind, gv)
		if homes := versionsOf(gvk.Kind); len(homes) > 0 {
			message += fmt.Sprintf(" (%s is in %s)", gvk.Kind, strings.Join(homes, ", "))
		} else {
			kinds := slices.Collect(maps.Keys(scheme.Scheme.KnownTypes(gv)))
			message += didYouMean(gvk.Kind, kinds)
		}
		return []*Error{fault(root.locate("kind"), "kind", "%s", message)}
	case scheme.Scheme.IsGroupRegistered(gv.Group):
		var versions []string
		for _, known := range scheme.Scheme.PrioritizedVersionsForGroup(gv.Group) {
			versions = append(versions, known.String())
		}
		return []*Error{fault(root.locate("apiVersion"), "apiVersion", "no version %q (known are %s)", gv, strings.Join(versions, ", "))}
	case gv.Group == "kustomize.config.k8s.io":
		return []*Error{fault(root.locate("kind"), "kind", "a %s is no object but makes objects: kubectl kustomize DIRECTORY | skiff apply -f -", gvk.Kind)}
	case !strings.Contains(gv.Group, "."):
		var known []string
		for _, gv := range scheme.Scheme.PrioritizedVersionsAllGroups() {
			known = append(known, gv.String())
		}
		return []*Error{fault(root.locate("apiVersion"), "apiVersion", "no API %q%s", gv, didYouMean(gv.String(), known))}
	}
	return nil
}

// versionsOf lists the apiVersions that have the kind, stable ones only.
func versionsOf(kind string) []string {
	var found []string
	for _, gv := range scheme.Scheme.PrioritizedVersionsAllGroups() {
		stable := !strings.Contains(gv.Version, "alpha") && !strings.Contains(gv.Version, "beta")
		if stable && scheme.Scheme.Recognizes(gv.WithKind(kind)) {
			found = append(found, gv.String())
		}
	}
	return found
}

func (c *checker) checkName(root *tree, gvk schema.GroupVersionKind) {
	metadata := root.get("metadata")
	for _, key := range []string{"name", "generateName"} {
		if metadata == nil {
			break
		}
		if v := metadata.get(key); v != nil && v.scalar != "" {
			return
		}
	}
	if t, known := scheme.Scheme.AllKnownTypes()[gvk]; known {
		if _, hasMeta := structFields(t)["metadata"]; !hasMeta {
			c.fail(root.locate("kind"), "kind", "%s is not a kind of object that can be created", gvk.Kind)
			return
		}
	}
	c.fail(root.locate("metadata.name"), "metadata.name", "the name is missing")
}
