package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
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
	infos, err := p.toDelete(c, r)
	if err != nil {
		return err
	}
	if len(infos) == 0 {
		printf(p.Out, "No resources found\n")
		return r.unserved
	}
	return utilerrors.NewAggregate([]error{p.deleteAll(c, r, infos, options), r.unserved})
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

// leaving is an object whose deletion the server has accepted.
type leaving struct {
	info *resource.Info
	uid  types.UID // empty: the server did not say
}

// deleteAll asks for all deletions before it waits for any.
func (p *program) deleteAll(c *call, r *request, infos []*resource.Info, options *metav1.DeleteOptions) error {
	tolerant := c.Bool("ignore-not-found")
	if !c.IsSet("ignore-not-found") {
		tolerant = c.Bool("all") || c.String("selector") != "" || c.String("field-selector") != ""
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
		errs = append(errs, awaitGone(c, r, going))
	}
	return utilerrors.NewAggregate(errs)
}

// awaitGone returns once the server no longer has any of the objects, or has
// others of the same names.
func awaitGone(c *call, r *request, going []leaving) error {
	ctx, cancel := within(c, fmt.Errorf("timed out after %s", c.Duration("timeout")))
	defer cancel()
	var errs []error
	for _, one := range going {
		err := r.follow(ctx, one.info, func(obj *unstructured.Unstructured) (done bool, err error) {
			return obj == nil || one.uid != "" && obj.GetUID() != one.uid, nil
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("wait for the end of %s: %w", one.info.ObjectName(), err))
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
