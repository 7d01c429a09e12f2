package apiserver

import (
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/kube-openapi/pkg/spec3"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

const bodyReferences = "#/components/schemas/"

// describe makes the document of one group and version.
func (o *openAPI) describe(gv schema.GroupVersion) *spec3.OpenAPI {
	d := &description{schemas: newSchemas(bodyReferences, true), paths: map[string]*spec3.Path{}}
	for _, k := range o.kinds {
		if k.GVK.GroupVersion() == gv {
			d.addKind(k)
		}
	}
	return &spec3.OpenAPI{
		Version:    "3.0.0",
		Info:       &spec.Info{InfoProps: spec.InfoProps{Title: "Kubernetes", Version: upstreamVersion}},
		Paths:      &spec3.Paths{Paths: d.paths},
		Components: &spec3.Components{Schemas: d.schemas.all},
	}
}

// description gathers paths and the schemas that they refer to.
type description struct {
	schemas *schemas
	paths   map[string]*spec3.Path
}

func (d *description) addKind(k *kind) {
	collection := "/" + pathOf(k.GVK.GroupVersion()) + "/" + k.Plural
	across := collection
	if k.Namespaced {
		collection = "/" + pathOf(k.GVK.GroupVersion()) + "/namespaces/{namespace}/" + k.Plural
	}
	one := d.schemas.root(k.New(), k.GVK)
	many := d.listOf(k)
	for _, verb := range k.verbs() {
		path, answer := collection+"/{name}", one
		switch verb {
		case "list":
			path, answer = collection, many
			if k.Namespaced {
				d.add(across, verb, k.GVK, answer, one)
			}
		case "create", "deletecollection":
			path = collection
		case "watch":
			continue // a list with a parameter
		}
		d.add(path, verb, k.GVK, answer, one)
	}
	for _, name := range k.subresourceNames() {
		sub := k.subresources[name]
		body := d.rootOf(sub.kind)
		for _, verb := range sub.verbNames() {
			d.add(collection+"/{name}/"+name, verb, sub.kind, body, body)
		}
	}
}

func (d *description) listOf(k *kind) spec.Schema { return d.rootOf(k.listGVK()) }

func (d *description) rootOf(gvk schema.GroupVersionKind) spec.Schema {
	obj, err := scheme.Scheme.New(gvk)
	if err != nil {
		return spec.Schema{} // a kind without a Go type has no description
	}
	return d.schemas.root(obj, gvk)
}

// add puts one operation on a path.
func (d *description) add(path, verb string, gvk schema.GroupVersionKind, answer, body spec.Schema) {
	item := d.paths[path]
	if item == nil {
		item = &spec3.Path{PathProps: spec3.PathProps{Parameters: pathParameters(path)}}
		d.paths[path] = item
	}
	operation := &spec3.Operation{OperationProps: spec3.OperationProps{
		OperationId: verb + strings.NewReplacer("/", "_", "{", "", "}", "", ".", "_").Replace(path),
		Tags:        []string{strings.Trim(gvk.Group+"_"+gvk.Version, "_")},
		Parameters:  queryParameters(verb),
		Responses:   answers(answer),
	}}
	operation.AddExtension("x-kubernetes-action", actions[verb])
	operation.AddExtension(kindExtension, kindMap(gvk))
	switch verb {
	case "get", "list":
		item.Get = operation
	case "create":
		operation.RequestBody = bodyOf([]string{"*/*"}, body)
		item.Post = operation
	case "update":
		operation.RequestBody = bodyOf([]string{"*/*"}, body)
		item.Put = operation
	case "patch":
		operation.RequestBody = bodyOf(patchTypes, d.schemas.reference(d.patchSchema()))
		item.Patch = operation
	case "delete", "deletecollection":
		options := d.schemas.root(&metav1.DeleteOptions{}, gvk.GroupVersion().WithKind("DeleteOptions"))
		operation.RequestBody = bodyOf([]string{"*/*"}, options)
		operation.RequestBody.Required = false
		item.Delete = operation
	}
}

// actions are upstream's names of the verbs in its documents.
var actions = map[string]string{
	"get": "get", "list": "list", "create": "post", "update": "put", "patch": "patch",
	"delete": "delete", "deletecollection": "deletecollection",
}

func (d *description) patchSchema() string {
	name := modelNameOfPatch
	d.schemas.all[name] = &spec.Schema{SchemaProps: spec.SchemaProps{
		Description: "A change to an object, in the form that the content type says.",
		Type:        spec.StringOrArray{"object"},
	}}
	return name
}

const modelNameOfPatch = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch"

func bodyOf(mediaTypes []string, of spec.Schema) *spec3.RequestBody {
	return &spec3.RequestBody{RequestBodyProps: spec3.RequestBodyProps{Content: contents(mediaTypes, of), Required: true}}
}

func answers(of spec.Schema) *spec3.Responses {
	return &spec3.Responses{ResponsesProps: spec3.ResponsesProps{StatusCodeResponses: map[int]*spec3.Response{
		200: {ResponseProps: spec3.ResponseProps{Description: "OK", Content: contents(mediaTypes(), of)}},
	}}}
}

func contents(mediaTypes []string, of spec.Schema) map[string]*spec3.MediaType {
	all := map[string]*spec3.MediaType{}
	for _, mediaType := range mediaTypes {
		all[mediaType] = &spec3.MediaType{MediaTypeProps: spec3.MediaTypeProps{Schema: &of}}
	}
	return all
}

func pathParameters(path string) []*spec3.Parameter {
	var all []*spec3.Parameter
	for _, name := range []string{"namespace", "name"} {
		if strings.Contains(path, "{"+name+"}") {
			all = append(all, parameter(name, "path", spec.StringProperty()))
		}
	}
	return all
}

// optionsOf are the types whose fields are the query parameters of each verb.
var optionsOf = map[string]runtime.Object{
	"list": &metav1.ListOptions{}, "create": &metav1.CreateOptions{}, "update": &metav1.UpdateOptions{},
	"patch": &metav1.PatchOptions{}, "delete": &metav1.DeleteOptions{}, "deletecollection": &metav1.DeleteOptions{},
}

func queryParameters(verb string) []*spec3.Parameter {
	options := optionsOf[verb]
	if options == nil {
		return nil
	}
	s := newSchemas(bodyReferences, true)
	s.root(options, metav1.SchemeGroupVersion.WithKind("Options"))
	var all []*spec3.Parameter
	for _, model := range s.all {
		for _, name := range slices.Sorted(maps.Keys(model.Properties)) {
			property := model.Properties[name]
			if len(property.AllOf) > 0 || name == "kind" || name == "apiVersion" {
				continue // only the body can carry it
			}
			if p := parameter(name, "query", &property); model.Extensions[kindExtension] != nil {
				p.Description, property.Description = property.Description, ""
				all = append(all, p)
			}
		}
	}
	return all
}

func parameter(name, in string, of *spec.Schema) *spec3.Parameter {
	return &spec3.Parameter{ParameterProps: spec3.ParameterProps{Name: name, In: in, Required: in == "path", Schema: of}}
}
