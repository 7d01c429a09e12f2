package main

import (
	"errors"
	"fmt"
	"reflect"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/resource"
)

// defaultManager is the name under which kubectl's users are known: they and those
// of skiff do not stand in each other's way, and for it the server takes over what
// an apply without it has set.
const defaultManager = "kubectl"

func serverSideFlags(f *flags) {
	f.Bool("server-side", "", false, "have the server merge the manifest with what others have set, and tell of conflicts")
	f.Bool("force-conflicts", "", false, "with --server-side: take over fields that others have set to something else")
	f.String("field-manager", "", defaultManager, "with --server-side: on whose behalf, by `NAME`, the fields are set")
}

// applyByServer leaves the object as the server has it in info, and says what
// was done.
func (p *program) applyByServer(c *call, info *resource.Info) (done applied, err error) {
	done = applied{info: info, word: "serverside-applied"}
	body, err := runtime.Encode(unstructured.UnstructuredJSONScheme, info.Object)
	if err != nil {
		return done, fmt.Errorf("encode %s: %w", info.ObjectName(), err)
	}
	helper := resource.NewHelper(info.Client, info.Mapping).WithFieldManager(c.String("field-manager")).WithFieldValidation("Strict")
	before, err := helper.Get(info.Namespace, info.Name)
	if err != nil && !apierrors.IsNotFound(err) {
		return done, err
	}
	force := c.Bool("force-conflicts")
	changed, err := helper.Patch(info.Namespace, info.Name, types.ApplyYAMLPatchType, body, &metav1.PatchOptions{Force: &force})
	if err != nil {
		return done, err
	}
	done.rolls = before == nil || !reflect.DeepEqual(podTemplate(before), podTemplate(changed))
	return done, info.Refresh(changed, true)
}

// conflictAdvice says what can be done about fields that others have set.
const conflictAdvice = `Others have set fields of the manifest to something else: --force-conflicts takes
them over, and a manifest that does not mention them leaves them as they are.
`

var errOnlyServerSide = errors.New("--force-conflicts and --field-manager are for --server-side")
