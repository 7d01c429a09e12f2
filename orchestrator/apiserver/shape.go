package apiserver

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
)

// shape gives one object the form that was agreed on.
func (s *Server) shape(r *request, obj object) (runtime.Object, error) {
	switch r.out.as {
	case asTable:
		return r.table([]object{obj}, metav1.ListMeta{ResourceVersion: obj.GetResourceVersion()})
	case asPartial, asPartialList:
		return partialOf(obj), nil
	}
	return withKind(obj, r.kind.GVK), nil
}

func (s *Server) shapeList(r *request, result found) (runtime.Object, error) {
	switch r.out.as {
	case asTable:
		return r.table(result.objects, result.meta)
	case asPartial, asPartialList:
		list := &metav1.PartialObjectMetadataList{
			TypeMeta: metav1.TypeMeta{Kind: asPartialList, APIVersion: metav1.SchemeGroupVersion.String()},
			ListMeta: result.meta,
			Items:    make([]metav1.PartialObjectMetadata, 0, len(result.objects)),
		}
		for _, obj := range result.objects {
			list.Items = append(list.Items, *partialOf(obj))
		}
		return list, nil
	}
	return r.kind.listOf(result)
}

func (k *kind) listOf(result found) (runtime.Object, error) {
	list, err := scheme.Scheme.New(k.listGVK())
	if err != nil {
		return nil, fmt.Errorf("make list of %s: %w", k.Plural, err)
	}
	items := make([]runtime.Object, len(result.objects))
	for i, obj := range result.objects {
		items[i] = obj
	}
	if err := meta.SetList(list, items); err != nil {
		return nil, fmt.Errorf("fill list of %s: %w", k.Plural, err)
	}
	about, err := meta.ListAccessor(list)
	if err != nil {
		return nil, fmt.Errorf("fill list of %s: %w", k.Plural, err)
	}
	about.SetResourceVersion(result.meta.ResourceVersion)
	about.SetContinue(result.meta.Continue)
	about.SetRemainingItemCount(result.meta.RemainingItemCount)
	list.GetObjectKind().SetGroupVersionKind(k.listGVK())
	return list, nil
}

// partialOf shares the maps and slices of obj.
func partialOf(obj object) *metav1.PartialObjectMetadata {
	partial := meta.AsPartialObjectMetadata(obj)
	partial.TypeMeta = metav1.TypeMeta{Kind: asPartial, APIVersion: metav1.SchemeGroupVersion.String()}
	return partial
}
