package apiserver

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	openapi_v2 "github.com/google/gnostic-models/openapiv2"
	"google.golang.org/protobuf/proto"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/kube-openapi/pkg/spec3"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// openAPIv2Binary is how clients ask for version 2 in protobuf. Its first name
// has an @, which no media type may have, and which clients still send.
const (
	openAPIv2Binary = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
	openAPIv2First  = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
)

// serveOpenAPIv2 answers with one document for the whole API.
func (s *Server) serveOpenAPIv2(r *request) error {
	accept := r.Header.Get("Accept")
	if !strings.Contains(accept, openAPIv2Binary) && !strings.Contains(accept, openAPIv2First) {
		doc, err := s.openapi.document("v2", func() ([]byte, error) { return json.Marshal(s.openapi.describeV2()) })
		if err != nil {
			return err
		}
		return s.sendDocument(r, doc, runtime.ContentTypeJSON)
	}
	doc, err := s.openapi.document("v2 in protobuf", s.openapi.binaryV2)
	if err != nil {
		return err
	}
	return s.sendDocument(r, doc, openAPIv2Binary)
}

func (o *openAPI) binaryV2() ([]byte, error) {
	text, err := json.Marshal(o.describeV2())
	if err != nil {
		return nil, err
	}
	parsed, err := openapi_v2.ParseDocument(text)
	if err != nil {
		return nil, fmt.Errorf("parse own document: %w", err)
	}
	return proto.Marshal(parsed)
}

// describeV2 has what clients read of version 2: the schemas, and which kinds
// and query parameters the operations take.
func (o *openAPI) describeV2() *spec.Swagger {
	d := &description{schemas: newSchemas("#/definitions/", false), paths: map[string]*spec3.Path{}}
	for _, k := range o.kinds {
		d.addKind(k)
	}
	document := &spec.Swagger{SwaggerProps: spec.SwaggerProps{
		Swagger:     "2.0",
		Info:        &spec.Info{InfoProps: spec.InfoProps{Title: "Kubernetes", Version: upstreamVersion}},
		Paths:       &spec.Paths{Paths: map[string]spec.PathItem{}},
		Definitions: spec.Definitions{},
	}}
	for name, defined := range d.schemas.all {
		document.Definitions[name] = *defined
	}
	for path, item := range d.paths {
		document.Paths.Paths[path] = spec.PathItem{PathItemProps: spec.PathItemProps{
			Get: operationV2(item.Get), Post: operationV2(item.Post), Put: operationV2(item.Put),
			Patch: operationV2(item.Patch), Delete: operationV2(item.Delete),
			Parameters: parametersV2(item.Parameters),
		}}
	}
	return document
}

func operationV2(o *spec3.Operation) *spec.Operation {
	if o == nil {
		return nil
	}
	converted := &spec.Operation{
		VendorExtensible: o.VendorExtensible,
		OperationProps: spec.OperationProps{
			ID:         o.OperationId,
			Tags:       o.Tags,
			Produces:   mediaTypes(),
			Parameters: parametersV2(o.Parameters),
			Responses: &spec.Responses{ResponsesProps: spec.ResponsesProps{StatusCodeResponses: map[int]spec.Response{
				200: {ResponseProps: spec.ResponseProps{Description: "OK", Schema: schemaOf(o.Responses.StatusCodeResponses[200].Content)}},
			}}},
		},
	}
	if o.RequestBody != nil {
		converted.Parameters = append(converted.Parameters, spec.Parameter{ParamProps: spec.ParamProps{
			Name: "body", In: "body", Required: o.RequestBody.Required, Schema: schemaOf(o.RequestBody.Content),
		}})
		for mediaType := range o.RequestBody.Content {
			converted.Consumes = append(converted.Consumes, mediaType)
		}
		slices.Sort(converted.Consumes)
	}
	return converted
}

// schemaOf finds the schema, which all media types share.
func schemaOf(content map[string]*spec3.MediaType) *spec.Schema {
	for _, mediaType := range content {
		return mediaType.Schema
	}
	return nil
}

func parametersV2(parameters []*spec3.Parameter) []spec.Parameter {
	var all []spec.Parameter
	for _, p := range parameters {
		converted := spec.Parameter{ParamProps: spec.ParamProps{Name: p.Name, In: p.In, Required: p.Required, Description: p.Description}}
		converted.Type, converted.Format = p.Schema.Type[0], p.Schema.Format
		if converted.Type == "array" {
			converted.Type = "string" // given once or several times
		}
		all = append(all, converted)
	}
	return all
}
