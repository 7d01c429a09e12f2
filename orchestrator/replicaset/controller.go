// Package replicaset keeps as many Pods as each ReplicaSet asks for. It decides
// by package rollout; here are the queue, the reads and the writes.
package replicaset

import (
	"context"
	"log/slog"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
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

const (
	// workers is how many ReplicaSets are looked after at the same time.
	workers = 5
	// parallel bounds one ReplicaSet's requests under way.
	parallel = 8
	// burst bounds the Pods created or deleted in one round of one ReplicaSet.
	burst = 500
)

// Controller creates and deletes the Pods of ReplicaSets.
type Controller struct {
	client kubernetes.Interface
	clock  clock.WithTicker
	log    *slog.Logger
	sets   appsinformers.ReplicaSetInformer
	pods   coreinformers.PodInformer
}

// New makes a controller that reads through factory, which the caller starts
// afterwards, and writes through client.
func New(client kubernetes.Interface, factory *informer.Factory, log *slog.Logger, clock clock.WithTicker) *Controller {
	return &Controller{
		client: client,
		clock:  clock,
		log:    log.With("controller", "replicaset"),
		sets:   factory.ReplicaSets(),
		pods:   factory.Pods(),
	}
}

// run is what a Controller has while it runs.
type run struct {
	*Controller
	queue     *work.Queue[cache.ObjectName]
	events    record.EventRecorder
	setWrites recent.Writes[*appsv1.ReplicaSet]
	podWrites recent.Writes[*corev1.Pod]
}

// Run works until ctx ends, and returns once nothing is under way any more.
func (c *Controller) Run(ctx context.Context) error {
	events := work.NewEvents(ctx, c.client)
	defer events.Close()
	r := &run{
		Controller: c,
		queue:      work.NewQueue[cache.ObjectName](c.log, c.clock),
		events:     events.By("replicaset-controller"),
	}
	r.follow()
	return r.queue.Run(ctx, workers, r.sync)
}
