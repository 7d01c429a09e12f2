package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/cli-runtime/pkg/resource"
)

func (p *program) delete() *cobra.Command {
	return spec{
		name:  "delete",
		short: "delete objects, with what they own",
		args:  "TYPE NAME… | TYPE/NAME… | TYPE -l LABELS | TYPE --all | -f FILE",
		examples: examples(
			"skiff delete -f web.yaml",
			"skiff delete deployment/web service/web",
			"skiff delete pods -l app=web --now"),
		flags: func(f *flags) {
			fileFlags(f)
			selectorFlag(f)
			f.String("field-selector", "", "", "only objects with these `FIELDS`")
			f.Bool("all", "", false, "all objects of the type in the namespace")
			f.Bool("all-namespaces", "A", false, "in all namespaces")
			f.Int64("grace-period", -1, "`SECONDS` for a Pod to end by itself (default: its own grace period)")
			f.Bool("now", "", false, "as --grace-period=1")
			f.Bool("force", "", false, "remove at once, without waiting for the containers to end")
			f.String("cascade", "", "background", "what becomes of owned objects: `HOW` is background, foreground or orphan")
			f.Optional("cascade", "background")
			f.Bool("wait", "", true, "wait until the objects are gone")
			f.Duration("timeout", 0, "wait this `LONG` at most (default: as long as it takes)")
			f.Bool("ignore-not-found", "", false, "an object that does not exist is no error (default with --all and -l)")
			f.String("output", "o", "", "`FORMAT`: name")
		},
		run: p.runDelete,
	}.command()
}

func (p *program) runDelete(c *call) error {
	options, err := deleteOptions(c)
	if err != nil {
		return err
	}
	if o := c.String("output"); o != "" && o != "name" {
		return fmt.Errorf("unexpected -o output mode: %s. We only support '-o name'", o)
	}
	if options.GracePeriodSeconds != nil && *options.GracePeriodSeconds == 0 {
		p.warnings.Warn("Immediate deletion does not wait for confirmation that the running resource has been terminated. The resource may continue to run on the cluster indefinitely.")
	}
	r, err := p.servedRequest(c)
	if err != nil {
		return err
	}
	if len(r.docs) == 0 && r.unserved != nil {
		return r.unserved
	}
	infos, err := p.toDelete(c, r)
	if err != nil {
		return err
	}
	if len(infos) == 0 {
		printf(p.Out, "No resources found\n")
		return r.unserved
	}
	return utilerrors.NewAggregate([]error{p.deleteAll(c, infos, options), r.unserved})
}

func (p *program) toDelete(c *call, r *request) ([]*resource.Info, error) {
	selected := c.String("selector") != "" || c.String("field-selector") != ""
	if c.Bool("all") && selected {
		return nil, errors.New("cannot set --all and a selector at the same time")
	}
	if len(r.args) == 0 && !r.byFile {
		return nil, c.usage("you must specify what to delete: TYPE/NAME, or a manifest with -f")
	}
	b, err := r.builder(untyped)
	if err != nil {
		return nil, err
	}
	return b.AllNamespaces(c.Bool("all-namespaces")).
		LabelSelectorParam(c.String("selector")).FieldSelectorParam(c.String("field-selector")).
		SelectAllParam(c.Bool("all")).
		ResourceTypeOrNameArgs(false, r.args...).RequireObject(false).Flatten().Do().Infos()
}

func deleteOptions(c *call) (*metav1.DeleteOptions, error) {
	grace := int64(c.Int64("grace-period"))
	switch {
	case c.Bool("now") && c.IsSet("grace-period"):
		return nil, errors.New("--now and --grace-period cannot be specified together")
	case c.Bool("now"):
		grace = 1
	case c.Bool("force") && grace > 0:
		return nil, errors.New("--force and --grace-period greater than 0 cannot be specified together")
	case c.Bool("force"):
		grace = 0
	case grace == 0:
		grace = 1 // as kubectl: only --force skips the wait for the containers' end
	}
	policies := map[string]metav1.DeletionPropagation{
		"background": metav1.DeletePropagationBackground, "true": metav1.DeletePropagationBackground,
		"foreground": metav1.DeletePropagationForeground,
		"orphan":     metav1.DeletePropagationOrphan, "false": metav1.DeletePropagationOrphan,
	}
	policy, ok := policies[c.String("cascade")]
	if !ok {
		return nil, fmt.Errorf(`invalid cascade value (%s). Must be "background", "foreground", or "orphan"`, c.String("cascade"))
	}
	options := &metav1.DeleteOptions{PropagationPolicy: &policy}
	if grace >= 0 {
		options.GracePeriodSeconds = &grace
	}
	return options, nil
}

// deleteAll asks for all deletions before it waits for any.
func (p *program) deleteAll(c *call, infos []*resource.Info, options *metav1.DeleteOptions) error {
	tolerant := c.Bool("ignore-not-found")
	if !c.IsSet("ignore-not-found") {
		tolerant = c.Bool("all") || c.String("selector") != "" || c.String("field-selector") != ""
	}
	type leaving struct {
		info *resource.Info
		uid  types.UID
	}
	var going []leaving
	var errs []error
	for _, info := range infos {
		answer, err := resource.NewHelper(info.Client, info.Mapping).DeleteWithOptions(info.Namespace, info.Name, options)
		if tolerant && apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		going = append(going, leaving{info, deletedUID(answer)})
		p.sayDeleted(c, info, options.GracePeriodSeconds)
	}
	if c.Bool("wait") {
		ctx := c.ctx
		if timeout := c.Duration("timeout"); timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeoutCause(ctx, timeout, fmt.Errorf("timed out after %s", timeout))
			defer cancel()
		}
		for _, one := range going {
			if err := waitGone(ctx, one.info, one.uid); err != nil {
				errs = append(errs, fmt.Errorf("wait for the end of %s: %w", one.info.ObjectName(), err))
			}
		}
	}
	return utilerrors.NewAggregate(errs)
}

func deletedUID(answer runtime.Object) types.UID {
	if status, ok := answer.(*metav1.Status); ok && status.Details != nil {
		return status.Details.UID
	}
	if object, err := meta.Accessor(answer); err == nil {
		return object.GetUID()
	}
	return ""
}

func (p *program) sayDeleted(c *call, info *resource.Info, grace *int64) {
	kind := strings.ToLower(info.Mapping.GroupVersionKind.Kind)
	if group := info.Mapping.GroupVersionKind.Group; group != "" {
		kind += "." + group
	}
	if c.String("output") == "name" {
		printf(p.Out, "%s/%s\n", kind, info.Name)
		return
	}
	done := "deleted"
	if grace != nil && *grace == 0 {
		done = "force deleted"
	}
	if info.Namespaced() {
		done += fmt.Sprintf(" from %s namespace", info.Namespace)
	}
	printf(p.Out, "%s \"%s\" %s\n", kind, info.Name, done)
}

// waitGone returns once the server no longer has the object, or has another one
// of the same name.
func waitGone(ctx context.Context, info *resource.Info, uid types.UID) error {
	helper := resource.NewHelper(info.Client, info.Mapping)
	for {
		obj, err := helper.Get(info.Namespace, info.Name)
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		object, err := meta.Accessor(obj)
		if err != nil {
			return err
		}
		if uid != "" && object.GetUID() != uid {
			return nil
		}
		gone, err := watchUntilDeleted(ctx, helper, info, object.GetResourceVersion())
		if gone || err != nil {
			return err
		}
	}
}

// watchUntilDeleted ends early, without an error, where the watch does.
func watchUntilDeleted(ctx context.Context, helper *resource.Helper, info *resource.Info, version string) (gone bool, err error) {
	events, err := helper.Watch(info.Namespace, info.Mapping.GroupVersionKind.GroupVersion().String(), &metav1.ListOptions{
		ResourceVersion: version, FieldSelector: fields.OneTermEqualSelector("metadata.name", info.Name).String(),
	})
	if err != nil {
		return false, err
	}
	defer events.Stop()
	for {
		select {
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case event, open := <-events.ResultChan():
			if !open || event.Type == watch.Error {
				return false, pause(ctx, 100*time.Millisecond)
			}
			if event.Type == watch.Deleted {
				return true, nil
			}
		}
	}
}
