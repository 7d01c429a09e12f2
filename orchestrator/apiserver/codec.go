package apiserver

import (
	"bytes"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/kubernetes/scheme"
)

// format is one way to write objects down.
type format struct {
	mediaType string
	codec     runtime.Serializer
	strict    runtime.Serializer // complains of unknown and duplicate fields
	options   runtime.Serializer // decodes into what it is given, whatever version the body names
	pretty    runtime.Serializer
	binary    bool
}

var noKinds = runtime.NewScheme()

// formats lists the media types of bodies and answers; the first is the default.
var formats = []*format{
	{
		mediaType: runtime.ContentTypeJSON,
		codec:     jsonCodec(json.SerializerOptions{StreamingCollectionsEncoding: true}),
		strict:    jsonCodec(json.SerializerOptions{Strict: true}),
		options:   json.NewSerializerWithOptions(json.DefaultMetaFactory, noKinds, noKinds, json.SerializerOptions{}),
		pretty:    jsonCodec(json.SerializerOptions{Pretty: true}),
	},
	{
		mediaType: runtime.ContentTypeYAML,
		codec:     jsonCodec(json.SerializerOptions{Yaml: true}),
		strict:    jsonCodec(json.SerializerOptions{Yaml: true, Strict: true}),
		options:   json.NewSerializerWithOptions(json.DefaultMetaFactory, noKinds, noKinds, json.SerializerOptions{Yaml: true}),
	},
	{
		mediaType: runtime.ContentTypeProtobuf,
		codec:     protobuf.NewSerializerWithOptions(scheme.Scheme, scheme.Scheme, protobuf.SerializerOptions{StreamingCollectionsEncoding: true}),
		options:   protobuf.NewSerializer(noKinds, noKinds),
		binary:    true,
	},
}

func jsonCodec(options json.SerializerOptions) runtime.Serializer {
	return json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme.Scheme, scheme.Scheme, options)
}

// storage is how objects lie in the store: protobuf is decoded four times as
// fast as JSON, and is half as large. The envelope names the kind.
var storage = protobuf.NewSerializer(scheme.Scheme, scheme.Scheme)

// encodeStored writes obj as it is kept: with its kind, without a resource
// version, which is the store's to say. It changes obj, which is the caller's.
func encodeStored(k *kind, obj object) ([]byte, error) {
	stored, err := k.toStored(obj)
	if err != nil {
		return nil, err
	}
	stored.SetResourceVersion("")
	stored.GetObjectKind().SetGroupVersionKind(k.storedGVK())
	var buffer bytes.Buffer
	if err := storage.Encode(stored, &buffer); err != nil {
		return nil, fmt.Errorf("encode %s %s: %w", k.Plural, obj.GetName(), err)
	}
	return buffer.Bytes(), nil
}

// decodeStored reads what encodeStored wrote. As in upstream's lists, the
// object does not carry its kind.
func decodeStored(raw []byte) (object, error) {
	obj, _, err := storage.Decode(raw, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("decode stored object: %w", err)
	}
	obj.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	return obj.(object), nil
}

// withKind gives obj, which may be shared, its kind for an answer.
func withKind(obj runtime.Object, gvk schema.GroupVersionKind) runtime.Object {
	if obj.GetObjectKind().GroupVersionKind() == gvk {
		return obj
	}
	named := shallow(obj)
	named.GetObjectKind().SetGroupVersionKind(gvk)
	return named
}
