package main

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/jsonmergepatch"
	"k8s.io/apimachinery/pkg/util/mergepatch"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/kubectl/pkg/scheme"
)

// editPatch is what has changed between the object that the editor was given and
// the one that came back; what others change meanwhile stays as they made it.
func editPatch(info *resource.Info, edited *unstructured.Unstructured) ([]byte, types.PatchType, error) {
	original, ok := info.Object.(*unstructured.Unstructured)
	if !ok {
		return nil, "", fmt.Errorf("edit %s: unexpected object", info.ObjectName())
	}
	before := original.DeepCopy()
	before.SetManagedFields(nil)
	old, err := before.MarshalJSON()
	if err != nil {
		return nil, "", err
	}
	now, err := edited.MarshalJSON()
	if err != nil {
		return nil, "", err
	}
	versioned, err := scheme.Scheme.New(info.Mapping.GroupVersionKind)
	if runtime.IsNotRegisteredError(err) {
		patch, err := jsonmergepatch.CreateThreeWayJSONMergePatch(old, now, old)
		return patch, types.MergePatchType, err
	}
	if err != nil {
		return nil, "", err
	}
	patch, err := strategicpatch.CreateTwoWayMergePatch(old, now, versioned,
		mergepatch.RequireKeyUnchanged("apiVersion"), mergepatch.RequireKeyUnchanged("kind"), mergepatch.RequireMetadataKeyUnchanged("name"))
	if mergepatch.IsPreconditionFailed(err) {
		err = errIdentityChanged
	}
	return patch, types.StrategicMergePatchType, err
}
