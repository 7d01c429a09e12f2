package receipt

import (
	"context"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"skiff/orchestrator/resource"
	"skiff/orchestrator/rollout"
	"skiff/proxy/switchboard"
)

// course is what is known of a Deployment's rollouts. One worker at a time has
// it in hand.
type course struct {
	earlier  bool                    // the Deployment was there before skiff was started
	seen     types.UID               // of the Deployment that template is of
	template *corev1.PodTemplateSpec // that was last rolled out, or is
	current  *progress               // the rollout under way, or nil
}

// progress is a rollout under way.
type progress struct {
	receipt Receipt
	from    string // name of the ReplicaSet before
	begin   switchboard.Counts
	marked  bool // the ReplicaSet says that it is under way
	written bool // the ReplicaSet has the receipt
}

// look is what one look at a Deployment finds.
type look struct {
	deployment *appsv1.Deployment
	current    *appsv1.ReplicaSet // nil: not made yet
	old        []*appsv1.ReplicaSet
}

func (r *run) sync(ctx context.Context, name cache.ObjectName) error {
	d, err := r.deployments.Lister().Deployments(name.Namespace).Get(name.Name)
	if apierrors.IsNotFound(err) {
		r.forget(name)
		return nil
	}
	if err != nil {
		return fmt.Errorf("read deployment: %w", err)
	}
	at := look{deployment: d}
	sets, err := r.sets.Lister().ReplicaSets(name.Namespace).List(labels.Everything())
	if err != nil {
		return fmt.Errorf("list replicasets: %w", err)
	}
	at.current, at.old = rollout.Split(d, ownedBy(d.UID, sets))
	c := r.follow(name)
	if at.begins(c) {
		c.current = at.begin(c)
		c.current.receipt.Began = r.beginning(c, at)
		c.current.begin = r.Counts(ctx)
	}
	if !d.Spec.Paused || c.seen != d.UID {
		c.seen, c.template, c.earlier = d.UID, &d.Spec.Template, false
	}
	if c.current == nil || at.current == nil {
		return nil
	}
	return r.goOn(ctx, c, at)
}

func ownedBy[T metav1.Object](owner types.UID, all []T) []T {
	var owned []T
	for _, o := range all {
		if ref := metav1.GetControllerOfNoCopy(o); ref != nil && ref.UID == owner {
			owned = append(owned, o)
		}
	}
	return owned
}

// goOn marks the rollout as being under way, and writes its receipt at the end.
func (r *run) goOn(ctx context.Context, c *course, at look) error {
	p := c.current
	if !p.marked {
		if err := r.annotate(ctx, at.current, p.receipt); err != nil {
			return err
		}
		p.marked = true
	}
	if p.receipt.Ended == nil {
		over, err := r.over(at)
		if err != nil || !over {
			return err
		}
		now := r.Clock.Now()
		p.receipt.Ended, p.receipt.Revision = &now, rollout.Revision(at.current)
		p.receipt.count(p.begin, r.Counts(ctx), at.deployment.Namespace, at.names(), p.from)
		p.receipt.Text = p.receipt.String()
		p.begin = nil
	}
	if !p.written {
		if err := r.annotate(ctx, at.current, p.receipt); err != nil {
			return err
		}
		p.written = true
		r.events.Event(at.deployment, corev1.EventTypeNormal, "RolloutReceipt", p.receipt.Text)
	}
	if err := r.strip(ctx, at.deployment); err != nil {
		return err
	}
	c.current = nil
	return nil
}

// over says whether all that the Deployment asks for is there, and nothing is in
// flight any more of any Pod of before.
func (r *run) over(at look) (bool, error) {
	if rollout.Revision(at.current) == 0 || !rollout.IsComplete(at.deployment, &at.deployment.Status) {
		return false, nil
	}
	pods, err := r.pods.Lister().Pods(at.deployment.Namespace).List(labels.Everything())
	if err != nil {
		return false, fmt.Errorf("list pods: %w", err)
	}
	for _, rs := range at.old {
		for _, pod := range ownedBy(rs.UID, pods) {
			if !resource.IsFinished(pod) && !r.isDrained(pod) {
				return false, nil
			}
		}
	}
	return true, nil
}

// annotate writes a receipt into its ReplicaSet.
func (r *run) annotate(ctx context.Context, rs *appsv1.ReplicaSet, receipt Receipt) error {
	text, err := json.Marshal(receipt)
	if err != nil {
		return fmt.Errorf("encode receipt: %w", err)
	}
	patch, err := annotation(string(text))
	if err == nil {
		_, err = r.Client.AppsV1().ReplicaSets(rs.Namespace).Patch(ctx, rs.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	}
	if err != nil {
		return fmt.Errorf("write receipt: %w", err)
	}
	return nil
}

// strip takes the receipt of an earlier rollout from the Deployment, to which
// kubectl copies it when that rollout is gone back to.
func (r *run) strip(ctx context.Context, d *appsv1.Deployment) error {
	if _, there := d.Annotations[rollout.ReceiptAnnotation]; !there {
		return nil
	}
	patch, err := annotation(nil)
	if err == nil {
		_, err = r.Client.AppsV1().Deployments(d.Namespace).Patch(ctx, d.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	}
	if err != nil {
		return fmt.Errorf("take old receipt away: %w", err)
	}
	return nil
}

func annotation(value any) ([]byte, error) {
	return json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{rollout.ReceiptAnnotation: value}}})
}
