// Package deployment rolls Deployments out: it creates and sizes ReplicaSets,
// one step for each event, and keeps nothing of a rollout but what is in the
// objects, so that a restart goes on where it was. It decides by package
// rollout; here are the queue, the reads and the writes.
package deployment

import (
	"context"
	"log/slog"

	appsv1 "k8s.io/api/apps/v1"
	appsinformers "k8s.io/client-go/informers/apps/v1"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"

	"skiff/orchestrator/informer"
	"skiff/orchestrator/rollout/recent"
	"skiff/orchestrator/work"
)

// workers is how many Deployments are looked after at the same time.
const workers = 5

// Controller creates and sizes the ReplicaSets of Deployments.
type Controller struct {
	client      kubernetes.Interface
	clock       clock.WithTicker
	log         *slog.Logger
	deployments appsinformers.DeploymentInformer
	sets        appsinformers.ReplicaSetInformer
	pods        coreinformers.PodInformer
}

// New makes a controller that reads through factory, which the caller starts
// afterwards, and writes through client.
func New(client kubernetes.Interface, factory *informer.Factory, log *slog.Logger, clock clock.WithTicker) *Controller {
	return &Controller{
		client:      client,
		clock:       clock,
		log:         log.With("controller", "deployment"),
		deployments: factory.Deployments(),
		sets:        factory.ReplicaSets(),
		pods:        factory.Pods(),
	}
}

// run is what a Controller has while it runs.
type run struct {
	*Controller
	queue            *work.Queue[cache.ObjectName]
	events           record.EventRecorder
	deploymentWrites recent.Writes[*appsv1.Deployment]
	setWrites        recent.Writes[*appsv1.ReplicaSet]
}

// Run works until ctx ends, and returns once nothing is under way any more.
func (c *Controller) Run(ctx context.Context) error {
	events := work.NewEvents(ctx, c.client)
	defer events.Close()
	r := &run{
		Controller: c,
		queue:      work.NewQueue[cache.ObjectName](c.log, c.clock),
		events:     events.By("deployment-controller"),
	}
	r.follow()
	return r.queue.Run(ctx, workers, r.sync)
}
