// Package disruption keeps the status of PodDisruptionBudgets, which says how
// many of their Pods may be evicted now.
package disruption

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	appsinformers "k8s.io/client-go/informers/apps/v1"
	coreinformers "k8s.io/client-go/informers/core/v1"
	policyinformers "k8s.io/client-go/informers/policy/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"skiff/orchestrator/informer"
	"skiff/orchestrator/work"
)

// Controller looks after the budgets.
type Controller struct {
	client  kubernetes.Interface
	clock   clock.WithTicker
	log     *slog.Logger
	budgets policyinformers.PodDisruptionBudgetInformer
	pods    coreinformers.PodInformer
	sets    appsinformers.ReplicaSetInformer
	deploys appsinformers.DeploymentInformer
}

// New makes a controller that reads through factory, which the caller starts
// afterwards, and writes through client.
func New(client kubernetes.Interface, factory *informer.Factory, log *slog.Logger, clock clock.WithTicker) *Controller {
	return &Controller{
		client: client, clock: clock, log: log.With("controller", "disruption"),
		budgets: factory.PodDisruptionBudgets(), pods: factory.Pods(),
		sets: factory.ReplicaSets(), deploys: factory.Deployments(),
	}
}

// run is what a Controller has while it runs.
type run struct {
	*Controller
	queue  *work.Queue[cache.ObjectName]
	events record.EventRecorder
}

// Run works until ctx ends, and returns once nothing is under way any more.
func (c *Controller) Run(ctx context.Context) error {
	events := work.NewEvents(ctx, c.client)
	defer events.Close()
	r := &run{
		Controller: c,
		queue:      work.NewQueue[cache.ObjectName](c.log, c.clock),
		events:     events.By("controllermanager"),
	}
	r.queue.Follow(r.budgets.Informer(), work.OnAny(func(b *policyv1.PodDisruptionBudget) { r.queue.Add(cache.MetaObjectToName(b)) }))
	r.queue.Follow(r.pods.Informer(), cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { r.wake(obj.(*corev1.Pod)) },
		UpdateFunc: func(old, obj any) { r.wake(old.(*corev1.Pod)); r.wake(obj.(*corev1.Pod)) },
		DeleteFunc: func(obj any) {
			if pod, ok := work.LastState[*corev1.Pod](obj); ok {
				r.wake(pod)
			}
		},
	})
	// What is asked for of Pods changes what is expected of them.
	r.queue.Follow(r.sets.Informer(), work.OnAny(func(set metav1.Object) { r.wakeAll(set.GetNamespace()) }))
	r.queue.Follow(r.deploys.Informer(), work.OnAny(func(d metav1.Object) { r.wakeAll(d.GetNamespace()) }))
	return r.queue.Run(ctx, 1, r.sync)
}

// wake has the budgets looked at that cover a Pod.
func (r *run) wake(pod *corev1.Pod) {
	budgets, err := r.budgets.Lister().PodDisruptionBudgets(pod.Namespace).List(labels.Everything())
	if err != nil {
		return // a cache has no errors
	}
	for _, b := range budgets {
		if selector, err := selectorOf(b); err == nil && selector.Matches(labels.Set(pod.Labels)) {
			r.queue.Add(cache.MetaObjectToName(b))
		}
	}
}

func (r *run) wakeAll(namespace string) {
	budgets, err := r.budgets.Lister().PodDisruptionBudgets(namespace).List(labels.Everything())
	if err != nil {
		return
	}
	for _, b := range budgets {
		r.queue.Add(cache.MetaObjectToName(b))
	}
}

// selectorOf matches nothing where the budget has no selector.
func selectorOf(b *policyv1.PodDisruptionBudget) (labels.Selector, error) {
	return metav1.LabelSelectorAsSelector(b.Spec.Selector)
}

func (r *run) sync(ctx context.Context, key cache.ObjectName) error {
	b, err := r.budgets.Lister().PodDisruptionBudgets(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	next, again, err := r.judge(ctx, b)
	if err != nil {
		r.events.Eventf(b, corev1.EventTypeWarning, "CalculateExpectedPodCountFailed", "Failed to calculate the number of expected pods: %v", err)
		next = failed(b, err)
	}
	if again > 0 {
		r.queue.AddAfter(key, again)
	}
	if equality.Semantic.DeepEqual(next, b.Status) {
		return err
	}
	changed := b.DeepCopy()
	changed.Status = next
	if _, writeErr := r.client.PolicyV1().PodDisruptionBudgets(b.Namespace).UpdateStatus(ctx, changed, metav1.UpdateOptions{}); writeErr != nil {
		return fmt.Errorf("write status of budget: %w", writeErr)
	}
	return err
}

// judge finds out what the budget's status should be, and when to look again
// though nothing happens.
func (r *run) judge(ctx context.Context, b *policyv1.PodDisruptionBudget) (policyv1.PodDisruptionBudgetStatus, time.Duration, error) {
	selector, err := selectorOf(b)
	if err != nil {
		return policyv1.PodDisruptionBudgetStatus{}, 0, err
	}
	pods, err := r.pods.Lister().Pods(b.Namespace).List(selector)
	if err != nil {
		return policyv1.PodDisruptionBudgetStatus{}, 0, err
	}
	if len(pods) == 0 {
		r.events.Event(b, corev1.EventTypeNormal, "NoPods", "No matching pods found")
	}
	scale := int32(0)
	if needsScale(b) {
		if scale, err = r.scaleOf(ctx, pods); err != nil {
			return policyv1.PodDisruptionBudgetStatus{}, 0, err
		}
	}
	now := r.clock.Now()
	disrupted, again := stillDisrupted(b.Status.DisruptedPods, pods, now)
	return status(b, pods, scale, disrupted), again, nil
}

// scaleOf sums up how many Pods those ask for that have made these.
func (r *run) scaleOf(ctx context.Context, pods []*corev1.Pod) (int32, error) {
	owners := map[owner]bool{}
	for _, pod := range pods {
		ref := metav1.GetControllerOf(pod)
		if ref == nil {
			continue
		}
		o, err := r.topmost(pod.Namespace, owner{kind: ref.Kind, name: ref.Name})
		if err != nil {
			return 0, err
		}
		owners[o] = true
	}
	sum := int32(0)
	for o := range owners {
		n, err := r.replicas(ctx, o)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

type owner struct{ namespace, kind, name string }

// topmost is the Deployment of a ReplicaSet that has one, or the owner itself.
func (r *run) topmost(namespace string, o owner) (owner, error) {
	o.namespace = namespace
	if o.kind != "ReplicaSet" {
		return o, nil
	}
	set, err := r.sets.Lister().ReplicaSets(namespace).Get(o.name)
	if err != nil {
		return o, err
	}
	if ref := metav1.GetControllerOf(set); ref != nil && ref.Kind == "Deployment" {
		return owner{namespace: namespace, kind: ref.Kind, name: ref.Name}, nil
	}
	return o, nil
}

var errNoScale = errors.New("it does not say how many Pods it asks for")

func (r *run) replicas(ctx context.Context, o owner) (n int32, err error) {
	apps := r.client.AppsV1()
	switch o.kind {
	case "Deployment":
		var found *appsv1.Deployment
		if found, err = apps.Deployments(o.namespace).Get(ctx, o.name, metav1.GetOptions{}); err == nil {
			n = ptr.Deref(found.Spec.Replicas, 1)
		}
	case "ReplicaSet":
		var found *appsv1.ReplicaSet
		if found, err = apps.ReplicaSets(o.namespace).Get(ctx, o.name, metav1.GetOptions{}); err == nil {
			n = ptr.Deref(found.Spec.Replicas, 1)
		}
	case "StatefulSet":
		var found *appsv1.StatefulSet
		if found, err = apps.StatefulSets(o.namespace).Get(ctx, o.name, metav1.GetOptions{}); err == nil {
			n = ptr.Deref(found.Spec.Replicas, 1)
		}
	default:
		err = errNoScale
	}
	if err != nil {
		return 0, fmt.Errorf("ask %s %s for its scale: %w", o.kind, o.name, err)
	}
	return n, nil
}
