package gc

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"

	"skiff/orchestrator/work"
)

const namespaceWorkers = 2

type namespaces struct {
	*Controller
	queue *work.Queue[string]
}

// runNamespaces empties namespaces that are being deleted and furnishes the
// others.
func (c *Controller) runNamespaces(ctx context.Context) error {
	r := &namespaces{Controller: c, queue: work.NewQueue[string](c.log, nil)}
	r.queue.Follow(c.factory.Namespaces().Informer(), work.OnAny(func(m metav1.Object) { r.queue.Add(m.GetName()) }))
	for _, k := range c.kinds {
		if k.namespaced {
			r.queue.Follow(k.informer, work.OnAny(func(m metav1.Object) { r.contentChanged(k, m) }))
		}
	}
	for _, name := range systemNamespaces {
		r.queue.Add(name)
	}
	return r.queue.Run(ctx, namespaceWorkers, r.sync)
}

// contentChanged is told of every object in a namespace. It wakes a namespace
// that waits to become empty, or one whose furniture was touched.
func (r *namespaces) contentChanged(k *kind, m metav1.Object) {
	furniture := k.Resource == "serviceaccounts" && m.GetName() == defaultAccount || k.Resource == "configmaps" && m.GetName() == rootCAName
	if !furniture {
		ns, err := r.factory.Namespaces().Lister().Get(m.GetNamespace())
		if err != nil || ns.DeletionTimestamp == nil {
			return
		}
	}
	r.queue.Add(m.GetNamespace())
}

func (r *namespaces) sync(ctx context.Context, name string) error {
	ns, err := r.factory.Namespaces().Lister().Get(name)
	switch {
	case apierrors.IsNotFound(err):
		if slices.Contains(systemNamespaces, name) {
			return r.ensureNamespace(ctx, name)
		}
		return nil
	case err != nil:
		return err
	case ns.DeletionTimestamp == nil:
		return r.furnish(ctx, name)
	case !slices.Contains(ns.Spec.Finalizers, corev1.FinalizerKubernetes):
		return nil
	}
	left, err := r.empty(ctx, name)
	if err != nil || left > 0 {
		// Each object that goes brings the namespace here again.
		return err
	}
	return r.finalize(ctx, ns)
}

// empty deletes what is in the namespace and says how many objects are left,
// which take their time or wait for something.
func (r *namespaces) empty(ctx context.Context, namespace string) (left int, err error) {
	resources := []schema.GroupVersionResource{r.events}
	for _, k := range r.kinds {
		if k.namespaced {
			resources = append(resources, k.GroupVersionResource)
		}
	}
	for _, gvr := range resources {
		objects := r.metadata.Resource(gvr).Namespace(namespace)
		found, err := objects.List(ctx, metav1.ListOptions{})
		if err != nil {
			return 0, fmt.Errorf("list %s: %w", gvr.Resource, err)
		}
		if !slices.ContainsFunc(found.Items, func(m metav1.PartialObjectMetadata) bool { return m.DeletionTimestamp == nil }) {
			left += len(found.Items)
			continue
		}
		err = objects.DeleteCollection(ctx, metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationBackground)}, metav1.ListOptions{})
		if err != nil {
			return 0, fmt.Errorf("delete %s: %w", gvr.Resource, err)
		}
		if found, err = objects.List(ctx, metav1.ListOptions{}); err != nil {
			return 0, fmt.Errorf("list %s: %w", gvr.Resource, err)
		}
		left += len(found.Items)
	}
	return left, nil
}

func (r *namespaces) finalize(ctx context.Context, ns *corev1.Namespace) error {
	done := ns.DeepCopy()
	done.Spec.Finalizers = slices.DeleteFunc(done.Spec.Finalizers, func(f corev1.FinalizerName) bool { return f == corev1.FinalizerKubernetes })
	_, err := r.client.CoreV1().Namespaces().Finalize(ctx, done, metav1.UpdateOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("finalize namespace %s: %w", ns.Name, err)
	}
	return nil
}
