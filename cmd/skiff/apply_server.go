package main

import (
	"errors"
	"fmt"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/client-go/util/csaupgrade"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
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
	manager, force := c.String("field-manager"), c.Bool("force-conflicts")
	apply := func() error {
		changed, err := helper.Patch(info.Namespace, info.Name, types.ApplyYAMLPatchType, body, &metav1.PatchOptions{Force: &force})
		if err != nil {
			return err
		}
		return info.Refresh(changed, true)
	}
	if err := apply(); err != nil {
		return done, err
	}
	moved, err := takeOver(info, manager)
	if err == nil && moved { // now without what the manifest has dropped since
		err = apply()
	}
	if err != nil {
		return done, fmt.Errorf("take over what an apply without --server-side has set: %w", err)
	}
	done.rolls = before == nil || !reflect.DeepEqual(podTemplate(before), podTemplate(info.Object))
	return done, nil
}

// annotationKeeper owns the annotation in which an apply without --server-side
// keeps the manifest, so that one can go back to it. Both names are kubectl's.
const annotationKeeper = "kubectl-last-applied"

var lastApplied = fieldpath.NewSet(fieldpath.MakePathOrDie("metadata", "annotations", corev1.LastAppliedConfigAnnotation))

// takeOver makes manager, which has just applied an object, the owner of what
// applies without --server-side have set: it would stay for good.
func takeOver(info *resource.Info, manager string) (moved bool, err error) {
	for try := 0; ; try++ {
		obj, err := meta.Accessor(info.Object)
		if err != nil {
			return false, err
		}
		clientSide := sets.New[string]()
		for _, entry := range csaupgrade.FindFieldsOwners(obj.GetManagedFields(), metav1.ManagedFieldsOperationUpdate, lastApplied) {
			clientSide.Insert(entry.Manager)
		}
		if len(clientSide) == 0 {
			return false, nil
		}
		if err := keepAnnotation(info, obj.GetAnnotations()[corev1.LastAppliedConfigAnnotation]); err != nil {
			return false, err
		}
		patch, err := csaupgrade.UpgradeManagedFieldsPatch(info.Object, clientSide, manager)
		if err != nil || patch == nil {
			return false, err
		}
		changed, err := resource.NewHelper(info.Client, info.Mapping).Patch(info.Namespace, info.Name, types.JSONPatchType, patch, nil)
		if err == nil {
			return true, info.Refresh(changed, true)
		}
		if !apierrors.IsConflict(err) || try == maxConflicts {
			return false, err
		}
		if err := info.Get(); err != nil {
			return false, err
		}
	}
}

func keepAnnotation(info *resource.Info, text string) error {
	only := &unstructured.Unstructured{}
	only.SetGroupVersionKind(info.Mapping.GroupVersionKind)
	only.SetName(info.Name)
	only.SetNamespace(info.Namespace)
	only.SetAnnotations(map[string]string{corev1.LastAppliedConfigAnnotation: text})
	body, err := runtime.Encode(unstructured.UnstructuredJSONScheme, only)
	if err != nil {
		return fmt.Errorf("encode annotation of %s: %w", info.ObjectName(), err)
	}
	helper := resource.NewHelper(info.Client, info.Mapping).WithFieldManager(annotationKeeper)
	changed, err := helper.Patch(info.Namespace, info.Name, types.ApplyYAMLPatchType, body, nil)
	if err != nil {
		return err
	}
	return info.Refresh(changed, true)
}

// conflictAdvice says what can be done about fields that others have set.
const conflictAdvice = `Others have set fields of the manifest to something else: --force-conflicts takes
them over, and a manifest that does not mention them leaves them as they are.
`

var errOnlyServerSide = errors.New("--force-conflicts and --field-manager are for --server-side")
