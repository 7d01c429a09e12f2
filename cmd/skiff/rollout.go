package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/cli-runtime/pkg/resource"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	"k8s.io/kubectl/pkg/polymorphichelpers"
)

func (p *program) rollout() *cobra.Command {
	return spec{
		name:  "rollout",
		short: "watch, undo, pause, resume and repeat updates",
		subs: []*cobra.Command{
			p.rolloutStatus(), p.rolloutHistory(), p.rolloutUndo(),
			p.rolloutChange("pause", "paused", "hold an update back: changes of the template wait until it is resumed", polymorphichelpers.ObjectPauserFn),
			p.rolloutChange("resume", "resumed", "let a paused update go on", polymorphichelpers.ObjectResumerFn),
			p.rolloutChange("restart", "restarted", "replace all Pods by new ones, as an update does", polymorphichelpers.ObjectRestarterFn),
		},
	}.command()
}

const rolloutArgs = "TYPE/NAME… | TYPE NAME | -f FILE"

// rolloutChange is a command that only marks the object; edit does that.
func (p *program) rolloutChange(name, done, usage string, edit func(runtime.Object) ([]byte, error)) *cobra.Command {
	return spec{
		name: name, short: usage, args: rolloutArgs,
		examples: examples("skiff rollout "+name+" deployment/web", "skiff rollout "+name+" -f web.yaml"),
		flags: func(f *flags) {
			fileFlags(f)
			outputFlag(f)
			selectorFlag(f)
		},
		run: func(c *call) error {
			infos, _, err := p.rolling(c)
			if err != nil {
				return err
			}
			var errs []error
			for _, info := range infos {
				changed, err := change(info, "skiff-rollout", func(obj runtime.Object) error {
					if _, err := edit(obj); err != nil {
						return fmt.Errorf("%s %q %w", info.Mapping.Resource.GroupResource(), info.Name, err)
					}
					return nil
				})
				switch {
				case err == nil && changed == nil:
					err = fmt.Errorf("%s %q was restarted within the past second: wait before doing it again", info.Mapping.Resource.GroupResource(), info.Name)
				case err == nil:
					err = p.say(c, changed, done)
				}
				if err != nil {
					errs = append(errs, err)
				}
			}
			return utilerrors.NewAggregate(errs)
		},
	}.command()
}

// rolling gives the objects that a rollout command is about, as they are now.
func (p *program) rolling(c *call) ([]*resource.Info, *request, error) {
	r, err := p.request(c)
	if err != nil {
		return nil, nil, err
	}
	if len(r.args) == 0 && !r.byFile {
		return nil, nil, c.usage("required resource not specified")
	}
	infos, err := r.live(c.String("selector"), true)
	if err != nil {
		return nil, nil, err
	}
	if r.byFile {
		infos = onlyRolling(infos)
	}
	if len(infos) == 0 {
		printf(p.ErrOut, "No resources found in %s namespace.\n", r.namespace)
	}
	return infos, r, nil
}

// onlyRolling leaves out what has no rollouts.
func onlyRolling(infos []*resource.Info) []*resource.Info {
	return orAll(infos, func(info *resource.Info) bool {
		_, err := polymorphichelpers.StatusViewerFn(info.Mapping)
		return err == nil
	})
}

func (p *program) rolloutHistory() *cobra.Command {
	return spec{
		name: "history", short: "list the revisions that an update can be undone to", args: rolloutArgs,
		examples: examples("skiff rollout history deployment/web", "skiff rollout history deployment/web --revision=2     its Pod template"),
		flags: func(f *flags) {
			fileFlags(f)
			f.Int64("revision", 0, "show the Pod template of this `REVISION`")
			outputFlag(f)
			selectorFlag(f)
		},
		run: p.runRolloutHistory,
	}.command()
}

func (p *program) runRolloutHistory(c *call) error {
	revision := c.Int64("revision")
	if revision < 0 {
		return fmt.Errorf("revision must be a positive integer: %d", revision)
	}
	infos, r, err := p.rolling(c)
	if err != nil {
		return err
	}
	var errs []error
	for _, info := range infos {
		if err := p.showHistory(c, r, info, revision); err != nil {
			errs = append(errs, err)
		}
	}
	return utilerrors.NewAggregate(errs)
}

func (p *program) showHistory(c *call, r *request, info *resource.Info, revision int64) error {
	viewer, err := polymorphichelpers.HistoryViewerFn(r, info.Mapping)
	if err != nil {
		return err
	}
	if c.String("output") != "" {
		revisions, err := viewer.GetHistory(info.Namespace, info.Name)
		if err != nil {
			return err
		}
		return p.sayRevisions(c, revisions, revision)
	}
	text, err := viewer.ViewHistory(info.Namespace, info.Name, revision)
	if err != nil {
		return err
	}
	with := ""
	if revision > 0 {
		with = fmt.Sprintf("with revision #%d", revision)
	}
	if err := p.say(c, info.Object, with+"\n"+text); err != nil || revision > 0 {
		return err
	}
	return p.printReceipts(c.ctx, r, info)
}

func (p *program) sayRevisions(c *call, revisions map[int64]runtime.Object, wanted int64) error {
	for _, revision := range slices.Sorted(maps.Keys(revisions)) {
		if wanted > 0 && revision != wanted {
			continue
		}
		if err := p.say(c, revisions[revision], ""); err != nil || wanted > 0 {
			return err
		}
	}
	if wanted > 0 {
		return errors.New("unable to find the specified revision")
	}
	return nil
}

func (p *program) rolloutUndo() *cobra.Command {
	return spec{
		name: "undo", short: "go back to an earlier revision", args: rolloutArgs,
		examples: examples("skiff rollout undo deployment/web", "skiff rollout undo deployment/web --to-revision=1"),
		flags: func(f *flags) {
			fileFlags(f)
			f.Int64("to-revision", 0, "the `REVISION` to go back to (default: the one before this)")
			outputFlag(f)
			selectorFlag(f)
		},
		run: func(c *call) error {
			infos, r, err := p.rolling(c)
			if err != nil {
				return err
			}
			var errs []error
			for _, info := range infos {
				if err := p.undoOne(c, r, info); err != nil {
					errs = append(errs, err)
				}
			}
			return utilerrors.NewAggregate(errs)
		},
	}.command()
}

func (p *program) undoOne(c *call, r *request, info *resource.Info) error {
	object, err := meta.Accessor(info.Object)
	if err != nil {
		return err
	}
	if _, applied := object.GetAnnotations()[corev1.LastAppliedConfigAnnotation]; applied {
		printf(p.ErrOut, "Warning: resource %s was previously managed with 'skiff apply'. "+
			"Rolling back will not update the %s annotation, which may cause unexpected behavior on future 'skiff apply' operations. "+
			"Consider using 'skiff apply' with your previous configuration file instead.\n", info.ObjectName(), corev1.LastAppliedConfigAnnotation)
	}
	if d, ok := info.Object.(*appsv1.Deployment); ok && d.Spec.Paused {
		return fmt.Errorf("you cannot rollback a paused deployment; resume it first with 'skiff rollout resume' and try again")
	}
	rollbacker, err := polymorphichelpers.RollbackerFn(r, info.Mapping)
	if err != nil {
		return err
	}
	done, err := rollbacker.Rollback(info.Object, nil, c.Int64("to-revision"), cmdutil.DryRunNone)
	if err != nil {
		return err
	}
	return p.say(c, info.Object, done)
}
