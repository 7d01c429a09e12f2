package deployment

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"skiff/orchestrator/rollout"
)

var kind = appsv1.SchemeGroupVersion.WithKind("Deployment")

// round is one look at one Deployment and what is done about it.
type round struct {
	was     *appsv1.Deployment // as it was read; never changed
	d       *appsv1.Deployment // a copy, whose status takes the notes of this round
	current *appsv1.ReplicaSet // has d's template; nil if there is none yet
	old     []*appsv1.ReplicaSet
	now     time.Time

	revision string // current's; empty where this round does not know it to be d's
	isMove   bool   // whether this round moves the rollout on, or only scales or looks
}

// sync takes one Deployment one step on. The next event takes the next one.
func (r *run) sync(ctx context.Context, key cache.ObjectName) error {
	was, err := r.deploymentWrites.Latest(func() (*appsv1.Deployment, error) {
		return r.deployments.Lister().Deployments(key.Namespace).Get(key.Name)
	}, r.clock.Now())
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read deployment: %w", err)
	}
	if rollout.Selector(was.Spec.Selector).Empty() {
		return nil
	}
	sets, err := r.claim(ctx, was)
	if err != nil {
		return err
	}
	ro := &round{was: was, d: was.DeepCopy(), now: r.clock.Now()}
	ro.current, ro.old = rollout.Split(ro.d, sets)
	rollout.NotePause(ro.d, &ro.d.Status, ro.now)
	if err := r.step(ctx, ro); err != nil {
		return errors.Join(err, r.writeStatus(ctx, ro, ro.d.Status))
	}
	return r.report(ctx, key, ro)
}

func (r *run) step(ctx context.Context, ro *round) error {
	switch {
	case ro.d.DeletionTimestamp != nil:
		return nil
	case ro.d.Spec.Paused:
		return r.paused(ctx, ro)
	case rollout.IsScaling(ro.d, rollout.All(ro.current, ro.old)):
		return r.scale(ctx, ro)
	}
	ro.isMove = true
	if !rollout.IsRolling(ro.d) {
		return r.recreate(ctx, ro)
	}
	alone, err := r.runsAlone(ctx, ro.d)
	switch {
	case err != nil:
		return err
	case alone:
		return r.recreate(ctx, ro)
	default:
		return r.roll(ctx, ro)
	}
}

func (r *run) paused(ctx context.Context, ro *round) error {
	if err := r.scale(ctx, ro); err != nil {
		return err
	}
	return r.clean(ctx, ro)
}

func (r *run) scale(ctx context.Context, ro *round) error {
	if err := r.revise(ctx, ro); err != nil {
		return err
	}
	return r.resize(ctx, ro, rollout.Scale(ro.d, ro.current, ro.old))
}

func (r *run) roll(ctx context.Context, ro *round) error {
	if err := r.ensureCurrent(ctx, ro); err != nil {
		return err
	}
	if steps := rollout.Rolling(ro.d, ro.current, ro.old); len(steps) > 0 {
		return r.resize(ctx, ro, steps)
	}
	return r.clean(ctx, ro)
}

// recreate starts nothing while a Pod of before is there, be it on its way out:
// two versions of a database never hold the same files open.
func (r *run) recreate(ctx context.Context, ro *round) error {
	if steps := rollout.ToZero(ro.old); len(steps) > 0 {
		return r.resize(ctx, ro, steps)
	}
	if ro.current == nil || rollout.Size(ro.current) == 0 && rollout.Replicas(ro.d) > 0 {
		remain, err := r.podsRemain(ro)
		if err != nil || remain {
			return err
		}
	}
	if err := r.ensureCurrent(ctx, ro); err != nil {
		return err
	}
	if size := rollout.Replicas(ro.d); size != rollout.Size(ro.current) {
		return r.resize(ctx, ro, []rollout.Resize{{ReplicaSet: ro.current, Replicas: size}})
	}
	return r.clean(ctx, ro)
}

// report writes the status if it changed, and comes back when the rollout's
// deadline is over, should nothing else wake it before. Where this round judges
// nothing, a deadline that is over would have it come back all the time.
func (r *run) report(ctx context.Context, key cache.ObjectName, ro *round) error {
	status := rollout.Status(ro.d, &ro.d.Status, ro.current, ro.old, ro.now)
	if ro.isMove {
		rollout.Judge(ro.d, &ro.was.Status, &status, ro.current, ro.now)
		if wait, ok := rollout.UntilTimeout(ro.d, &status, ro.now); ok {
			r.queue.AddAfter(key, wait)
		}
	}
	rollout.CopyFailure(&status, ro.current, ro.old)
	return r.writeStatus(ctx, ro, status)
}

// writeStatus writes the revision with the status, as it is an annotation that
// only the controller sets: any other write of it would count as a change of
// what the user asked for.
func (r *run) writeStatus(ctx context.Context, ro *round, status appsv1.DeploymentStatus) error {
	changed := ro.was.DeepCopy()
	changed.Status = status
	if ro.revision != "" {
		metav1.SetMetaDataAnnotation(&changed.ObjectMeta, rollout.RevisionAnnotation, ro.revision)
	}
	if equality.Semantic.DeepEqual(ro.was, changed) {
		return nil
	}
	written, err := r.client.AppsV1().Deployments(changed.Namespace).UpdateStatus(ctx, changed, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("write status of deployment: %w", err)
	}
	r.deploymentWrites.Updated(ro.was, written)
	return nil
}
