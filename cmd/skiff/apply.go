package main

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/kubectl/pkg/polymorphichelpers"
	"k8s.io/kubectl/pkg/util"
)

func (p *program) apply() *cobra.Command {
	return spec{
		name:  "apply",
		short: "create the objects of a manifest, or change them to what it says",
		args:  onlyFile,
		long: `The manifest is kept in the object's last-applied-configuration annotation, as
kubectl apply does. What is in the new manifest is set, what was in the last one
and no longer is, is removed, and what others have set stays.`,
		examples: examples(
			"skiff apply -f web.yaml",
			"skiff apply -f web.yaml --wait      and say how the updates went",
			"kubectl kustomize DIRECTORY | skiff apply -f -"),
		flags: func(f *flags) {
			fileFlags(f)
			serverSideFlags(f)
			f.Bool("wait", "", false, "wait until the rollouts of what was applied are done")
			f.Duration("timeout", 0, "with --wait: wait this `LONG` at most (default: as long as it takes)")
			recordFlag(f)
			outputFlag(f)
			selectorFlag(f)
		},
		run: p.runApply,
	}.command()
}

func (p *program) runApply(c *call) error {
	if !c.Bool("server-side") && (c.Bool("force-conflicts") || c.IsSet("field-manager")) {
		return errOnlyServerSide
	}
	infos, r, err := p.manifests(c)
	if err != nil {
		return err
	}
	recorder, err := p.recorder(c)
	if err != nil {
		return err
	}
	var errs []error
	var rolled []applied
	conflicts := false
	for _, info := range infos {
		p.warnings.During(r.document(info))
		done, err := p.applyOne(c, info, recorder)
		if err != nil {
			conflicts = conflicts || apierrors.HasStatusCause(err, metav1.CauseTypeFieldManagerConflict)
			errs = append(errs, r.explain(info, err))
			continue
		}
		if err := p.say(c, info.Object, done.word); err != nil {
			errs = append(errs, err)
		}
		if _, err := polymorphichelpers.StatusViewerFn(info.Mapping); err == nil {
			rolled = append(rolled, done)
		}
	}
	if conflicts {
		printf(p.ErrOut, conflictAdvice)
	}
	if err := utilerrors.NewAggregate(append(errs, r.unserved)); err != nil || !c.Bool("wait") {
		return err
	}
	return p.awaitApplied(c, r, rolled)
}

// applied is an object that has been applied, and what that did.
type applied struct {
	info  *resource.Info
	word  string // created, configured, unchanged
	rolls bool   // its Pod template is another now
}

// awaitApplied waits for the rollouts of what has been applied, and says how
// those went that this has started.
func (p *program) awaitApplied(c *call, r *request, all []applied) error {
	ctx, cancel := within(c, errTimedOut)
	defer cancel()
	for _, a := range all {
		if _, err := p.followRollout(ctx, c, r, a.info, 0, true); err != nil {
			return err
		}
		if !a.rolls {
			continue
		}
		if err := p.printReceipt(ctx, r, a.info, true); err != nil {
			return err
		}
	}
	return nil
}

// applyOne leaves the object as the server has it in info, and says what was done.
func (p *program) applyOne(c *call, info *resource.Info, recorder genericclioptions.Recorder) (done applied, err error) {
	done.info = info
	if info.Name == "" {
		return done, errors.New("metadata.generateName cannot be used with apply: an object to change needs its name")
	}
	if err := recorder.Record(info.Object); err != nil {
		return done, err
	}
	if c.Bool("server-side") {
		return p.applyByServer(c, info)
	}
	modified, err := util.GetModifiedConfiguration(info.Object, true, unstructured.UnstructuredJSONScheme)
	if err != nil {
		return done, fmt.Errorf("encode %s: %w", info.ObjectName(), err)
	}
	helper := resource.NewHelper(info.Client, info.Mapping).WithFieldManager("skiff-apply").WithFieldValidation("Strict")
	wanted := info.Object
	err = info.Get()
	if apierrors.IsNotFound(err) {
		created, err := helper.Create(info.Namespace, true, withoutNulls(wanted, modified))
		if err != nil {
			return done, err
		}
		done.word, done.rolls = "created", true
		return done, info.Refresh(created, true)
	}
	if err != nil {
		return done, err
	}
	p.warnNotApplied(info)
	before := podTemplate(info.Object)
	done.word, err = p.patchToward(c.ctx, info, modified, helper)
	done.rolls = !reflect.DeepEqual(before, podTemplate(info.Object))
	return done, err
}

// podTemplate is what an object's rollouts are about, nil where it has none.
func podTemplate(obj runtime.Object) any {
	if u, ok := obj.(*unstructured.Unstructured); ok {
		template, _, _ := unstructured.NestedFieldNoCopy(u.Object, "spec", "template")
		return template
	}
	return nil
}

// maxConflicts is how often a patch is tried again whose object somebody else
// has changed between reading and patching it.
const maxConflicts = 5

func (p *program) patchToward(ctx context.Context, info *resource.Info, modified []byte, helper *resource.Helper) (string, error) {
	for try := 0; ; try++ {
		patch, kind, err := threeWay(info.Mapping.GroupVersionKind, info.Object, modified)
		if err != nil {
			return "", fmt.Errorf("work out changes of %s: %w", info.ObjectName(), err)
		}
		if string(patch) == "{}" {
			return "unchanged", nil
		}
		changed, err := helper.Patch(info.Namespace, info.Name, kind, patch, nil)
		if err == nil {
			return "configured", info.Refresh(changed, true)
		}
		if !apierrors.IsConflict(err) || try == maxConflicts {
			return "", err
		}
		backoff := wait.Backoff{Duration: 50 * time.Millisecond, Factor: 2, Jitter: 0.2, Steps: try + 1}
		if err := pause(ctx, backoff.Step()); err != nil {
			return "", err
		}
		if err := info.Get(); err != nil {
			return "", err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *program) warnNotApplied(info *resource.Info) {
	u, ok := info.Object.(*unstructured.Unstructured)
	if ok && u.GetAnnotations()[corev1.LastAppliedConfigAnnotation] == "" {
		printf(p.ErrOut, "Warning: resource %s is missing the %s annotation which is required by skiff apply. "+
			"skiff apply should only be used on resources created declaratively by either skiff create --save-config or skiff apply. "+
			"The missing annotation will be patched automatically.\n", info.ObjectName(), corev1.LastAppliedConfigAnnotation)
	}
}

// withoutNulls is the object to create: an explicit null in a manifest means
// that the field is to be absent, which on a new object it is.
func withoutNulls(obj runtime.Object, modified []byte) runtime.Object {
	decoded, err := runtime.Decode(unstructured.UnstructuredJSONScheme, modified)
	if err != nil {
		return obj
	}
	if u, ok := decoded.(*unstructured.Unstructured); ok {
		dropNulls(u.Object)
	}
	return decoded
}

func dropNulls(value any) {
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			if inner == nil {
				delete(v, key)
			} else {
				dropNulls(inner)
			}
		}
	case []any:
		for _, inner := range v {
			dropNulls(inner)
		}
	}
}
