package main

import (
	"errors"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/jsonmergepatch"
	"k8s.io/apimachinery/pkg/util/mergepatch"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/kubectl/pkg/scheme"
	"k8s.io/kubectl/pkg/util"
)

var errIdentityChanged = errors.New("at least one of apiVersion, kind and name was changed")

// threeWay gives the patch that turns current into what modified asks for: it
// removes what only the last applied configuration has and leaves alone what is
// in neither. Kinds of Kubernetes get strategic patches, others merge patches.
func threeWay(gvk schema.GroupVersionKind, current runtime.Object, modified []byte) ([]byte, types.PatchType, error) {
	now, err := runtime.Encode(unstructured.UnstructuredJSONScheme, current)
	if err != nil {
		return nil, "", err
	}
	original, err := util.GetOriginalConfiguration(current)
	if err != nil {
		return nil, "", err
	}
	versioned, err := scheme.Scheme.New(gvk)
	if runtime.IsNotRegisteredError(err) {
		patch, err := jsonmergepatch.CreateThreeWayJSONMergePatch(original, modified, now,
			mergepatch.RequireKeyUnchanged("apiVersion"), mergepatch.RequireKeyUnchanged("kind"), mergepatch.RequireMetadataKeyUnchanged("name"))
		if mergepatch.IsPreconditionFailed(err) {
			err = errIdentityChanged
		}
		return patch, types.MergePatchType, err
	}
	if err != nil {
		return nil, "", err
	}
	lookup, err := strategicpatch.NewPatchMetaFromStruct(versioned)
	if err != nil {
		return nil, "", err
	}
	patch, err := strategicpatch.CreateThreeWayMergePatch(original, modified, now, lookup, true)
	return patch, types.StrategicMergePatchType, err
}
