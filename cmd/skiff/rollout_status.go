package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/kubectl/pkg/polymorphichelpers"
)

func (p *program) rolloutStatus() *cobra.Command {
	return spec{
		name: "status", short: "wait until an update is done, or has failed (exit code 1)", args: rolloutArgs,
		examples: examples("skiff rollout status deployment/web", "skiff rollout status -f web.yaml --timeout=60s"),
		flags: func(f *flags) {
			fileFlags(f)
			f.Bool("watch", "w", true, "wait for the end; --watch=false tells how it is now")
			f.Duration("timeout", 0, "wait this `LONG` at most (default: as long as it takes)")
			f.Int64("revision", 0, "fail if the newest revision is not this `REVISION`")
			selectorFlag(f)
		},
		run: p.runRolloutStatus,
	}.command()
}

func (p *program) runRolloutStatus(c *call) error {
	if c.Int64("revision") < 0 {
		return fmt.Errorf("revision must be a positive integer: %d", c.Int64("revision"))
	}
	infos, r, err := p.rolling(c)
	if err != nil {
		return err
	}
	ctx, cancel := within(c, errTimedOut)
	defer cancel()
	for _, info := range infos {
		if err := p.followToReceipt(ctx, c, r, info); err != nil {
			return err
		}
	}
	return nil
}

// followToReceipt ends with the newest receipt. Where something had to be waited
// for, one that was there before does not tell of it: what was waited for was no
// rollout, but more replicas, say.
func (p *program) followToReceipt(ctx context.Context, c *call, r *request, info *resource.Info) error {
	before, err := newestReceipt(c.ctx, r, info)
	if err != nil {
		return err
	}
	waited, err := p.followRollout(ctx, c, r, info, c.Int64("revision"), c.Bool("watch"))
	if err != nil {
		return err
	}
	if waited && before.Ended != nil {
		after, err := newestReceipt(c.ctx, r, info)
		if err != nil || after.Ended.Equal(before.Ended) {
			return err
		}
	}
	return p.printReceipt(ctx, r, info, c.Bool("watch"))
}

var errTimedOut = errors.New("timed out waiting for the condition")

// within bounds a command by its --timeout, after which why is the error.
func within(c *call, why error) (context.Context, context.CancelFunc) {
	if timeout := c.Duration("timeout"); timeout > 0 {
		return context.WithTimeoutCause(c.ctx, timeout, why)
	}
	return context.WithCancel(c.ctx)
}

// followRollout prints every change of a rollout's status until it is done, and
// says whether it was not from the first. Of one that fails it says why.
func (p *program) followRollout(ctx context.Context, c *call, r *request, info *resource.Info, revision int64, wait bool) (waited bool, err error) {
	viewer, err := polymorphichelpers.StatusViewerFn(info.Mapping)
	if err != nil {
		return false, err
	}
	said, looks := "", 0
	err = r.follow(ctx, info, func(obj *unstructured.Unstructured) (done bool, err error) {
		looks++
		switch {
		case obj == nil && looks == 1:
			return false, apierrors.NewNotFound(info.Mapping.Resource.GroupResource(), info.Name)
		case obj == nil:
			return false, errors.New("object has been deleted")
		}
		text, done, err := viewer.Status(obj, revision)
		if text != said {
			printf(p.Out, "%s", text)
			said = text
		}
		return done || !wait, err
	})
	if err != nil {
		report(p.ErrOut, err)
		p.sayWhy(c.ctx, r, info)
		err = errReported
	}
	return looks > 1, err
}
