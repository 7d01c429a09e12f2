// Package service holds the controllers that write down which Pods a Service
// leads to: EndpointSlices, the older Endpoints, and both for the Service
// default/kubernetes, which leads to the API itself. How traffic reaches those
// Pods is orchestrator/traffic's.
package service

import (
	"context"
	"log/slog"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	coreinformers "k8s.io/client-go/informers/core/v1"
	discoveryinformers "k8s.io/client-go/informers/discovery/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"skiff/orchestrator/informer"
	"skiff/orchestrator/work"
)

const workers = 2

// Controller keeps the endpoints of all Services up to date.
type Controller struct {
	client   kubernetes.Interface
	log      *slog.Logger
	api      API
	services coreinformers.ServiceInformer
	pods     coreinformers.PodInformer
	older    coreinformers.EndpointsInformer
	slices   discoveryinformers.EndpointSliceInformer
}

// New makes a Controller that reads through factory, which the caller starts
// afterwards, and writes through client.
func New(client kubernetes.Interface, factory *informer.Factory, log *slog.Logger, api API) *Controller {
	return &Controller{
		client:   client,
		log:      log.With("controller", "service"),
		api:      api,
		services: factory.Services(),
		pods:     factory.Pods(),
		older:    factory.Endpoints(),
		slices:   factory.EndpointSlices(),
	}
}

// run is what a Controller has while it runs.
type run struct {
	*Controller
	queue *work.Queue[cache.ObjectName]
}

// Run works until ctx ends and returns when nothing of it runs any more.
func (c *Controller) Run(ctx context.Context) error {
	r := &run{Controller: c, queue: work.NewQueue[cache.ObjectName](c.log, nil)}
	r.follow()
	r.queue.Add(apiService)
	return r.queue.Run(ctx, workers, r.sync)
}

func (r *run) sync(ctx context.Context, key cache.ObjectName) error {
	if key == apiService {
		return r.syncAPIService(ctx)
	}
	svc, err := r.services.Lister().Services(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) {
		// The slices have the Service as their owner and go by that.
		return r.removeEndpoints(ctx, key)
	}
	if err != nil {
		return err
	}
	if svc.DeletionTimestamp != nil || len(svc.Spec.Selector) == 0 || svc.Spec.Type == corev1.ServiceTypeExternalName {
		return nil
	}
	pods, err := r.pods.Lister().Pods(svc.Namespace).List(labels.SelectorFromSet(svc.Spec.Selector))
	if err != nil {
		return err
	}
	if err := r.syncSlices(ctx, svc, pods); err != nil {
		return ignoreTerminating(err)
	}
	return ignoreTerminating(r.syncEndpoints(ctx, svc, pods))
}

// ignoreTerminating drops the refusal to create something in a namespace that
// is going: there is nothing left to do for it.
func ignoreTerminating(err error) error {
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return nil
	}
	return err
}
