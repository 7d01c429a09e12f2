package main

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/kubectl/pkg/scheme"
)

// change works out, by making it, the smallest patch for a change of a live
// object, and sends it. It gives the object as the server has it afterwards, nil
// if there was nothing to do.
func change(info *resource.Info, manager string, make func(runtime.Object) error) (runtime.Object, error) {
	before, err := runtime.Encode(scheme.DefaultJSONEncoder(), info.Object)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", info.ObjectName(), err)
	}
	if err := make(info.Object); err != nil {
		return nil, err
	}
	after, err := runtime.Encode(scheme.DefaultJSONEncoder(), info.Object)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", info.ObjectName(), err)
	}
	patch, err := strategicpatch.CreateTwoWayMergePatch(before, after, info.Object)
	if err != nil {
		return nil, fmt.Errorf("work out changes of %s: %w", info.ObjectName(), err)
	}
	if len(patch) == 0 || string(patch) == "{}" {
		return nil, nil
	}
	return resource.NewHelper(info.Client, info.Mapping).WithFieldManager(manager).
		Patch(info.Namespace, info.Name, types.StrategicMergePatchType, patch, nil)
}
