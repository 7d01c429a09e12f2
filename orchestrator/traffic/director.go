// Package traffic directs the proxy: it opens a listener for each port of a
// Service that is reached from the host, and keeps in its pool the Pods that
// are ready and selected. Which Pods are ready is told by the node, call by
// call, and not by what the API says, which lags behind.
package traffic

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	appslisters "k8s.io/client-go/listers/apps/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"

	"skiff/orchestrator/informer"
	"skiff/proxy"
	"skiff/proxy/pool"
)

// Proxy is what the Director needs of a *proxy.Proxy.
type Proxy interface {
	Listen(proxy.Listener) error
	Close(address string)
	NewPool() *pool.Pool
}

// A port that is taken is tried again this often.
const (
	firstRetry   = 250 * time.Millisecond
	longestRetry = 5 * time.Second
)

// Director is safe for concurrent use.
type Director struct {
	client   kubernetes.Interface
	proxy    Proxy
	recorder record.EventRecorder
	log      *slog.Logger

	services    corelisters.ServiceLister
	pods        corelisters.PodLister
	deployments appslisters.DeploymentLister
	replicaSets appslisters.ReplicaSetLister
	synced      []cache.InformerSynced
	queue       workqueue.TypedRateLimitingInterface[string]

	// parting are the drains of back ends that left a pool without their Pod
	// being stopped.
	parting sync.WaitGroup

	mu      sync.Mutex // guards all below, and every service
	ready   map[types.UID]*corev1.Pod
	served  map[string]*service   // by namespace/name
	holders map[string]string     // address → key of the Service that has it
	retired map[*pool.Pool]string // pools of ports that are gone → namespace, while something is in flight
}

// New makes a Director. The factory is to be started after it.
func New(factory *informer.Factory, client kubernetes.Interface, p Proxy, recorder record.EventRecorder, log *slog.Logger) *Director {
	d := &Director{
		client:      client,
		proxy:       p,
		recorder:    recorder,
		log:         log,
		services:    factory.Services().Lister(),
		pods:        factory.Pods().Lister(),
		deployments: factory.Deployments().Lister(),
		replicaSets: factory.ReplicaSets().Lister(),
		queue: workqueue.NewTypedRateLimitingQueue(
			workqueue.NewTypedItemExponentialFailureRateLimiter[string](firstRetry, longestRetry)),
		ready:   map[types.UID]*corev1.Pod{},
		served:  map[string]*service{},
		holders: map[string]string{},
		retired: map[*pool.Pool]string{},
	}
	d.watch(factory.Services().Informer(), d.enqueue)
	d.watch(factory.Pods().Informer(), d.enqueueNamespace)
	d.watch(factory.Deployments().Informer(), d.enqueueNamespace)
	d.watch(factory.ReplicaSets().Informer(), d.enqueueNamespace)
	return d
}

func (d *Director) watch(informer cache.SharedIndexInformer, changed func(any)) {
	registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    changed,
		UpdateFunc: func(_, obj any) { changed(obj) },
		DeleteFunc: changed,
	})
	if err != nil { // only a stopped informer takes no handler
		d.log.Error("watch for traffic", "error", err)
		return
	}
	d.synced = append(d.synced, registration.HasSynced)
}

func (d *Director) enqueue(obj any) {
	if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(obj); err == nil {
		d.queue.Add(key)
	}
}

// enqueueNamespace looks again at all Services that obj may matter to.
func (d *Director) enqueueNamespace(obj any) {
	key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(obj)
	if err != nil {
		return
	}
	if pod, ok := obj.(*corev1.Pod); ok {
		d.relabel(pod)
	}
	namespace, _, _ := cache.SplitMetaNamespaceKey(key)
	services, err := d.services.Services(namespace).List(labels.Everything())
	if err != nil {
		return
	}
	for _, s := range services {
		d.enqueue(s)
	}
}

// relabel keeps up with labels that changed while the Pod is ready.
func (d *Director) relabel(pod *corev1.Pod) {
	d.mu.Lock()
	defer d.mu.Unlock()
	known := d.ready[pod.UID]
	if known == nil || maps.Equal(known.Labels, pod.Labels) {
		return
	}
	known = known.DeepCopy()
	known.Labels = pod.Labels
	d.ready[pod.UID] = known
}

// Run follows the Services until ctx ends. Then it closes every pool; the
// listeners end with the proxy's own Run.
func (d *Director) Run(ctx context.Context) error {
	var worker sync.WaitGroup
	worker.Go(func() {
		if !cache.WaitForCacheSync(ctx.Done(), d.synced...) {
			return
		}
		for d.next(ctx) {
		}
	})
	<-ctx.Done()
	d.queue.ShutDown()
	worker.Wait()

	d.mu.Lock()
	var pools []*pool.Pool
	for _, s := range d.served {
		for _, p := range s.ports {
			pools = append(pools, p.pool)
		}
	}
	d.mu.Unlock()
	for _, p := range pools {
		p.Close()
	}
	d.parting.Wait()
	return nil
}

func (d *Director) next(ctx context.Context) bool {
	key, shutdown := d.queue.Get()
	if shutdown {
		return false
	}
	defer d.queue.Done(key)
	if err := d.sync(ctx, key); err != nil {
		d.log.Debug("direct traffic; trying again", "service", key, "error", err)
		d.queue.AddRateLimited(key)
		return true
	}
	d.queue.Forget(key)
	return true
}

// around lists what says whether Pods will come in a namespace.
func (d *Director) around(namespace string) (surroundings, error) {
	var s surroundings
	var err error
	if s.pods, err = d.pods.Pods(namespace).List(labels.Everything()); err != nil {
		return s, fmt.Errorf("list pods: %w", err)
	}
	if s.deployments, err = d.deployments.Deployments(namespace).List(labels.Everything()); err != nil {
		return s, fmt.Errorf("list deployments: %w", err)
	}
	if s.replicaSets, err = d.replicaSets.ReplicaSets(namespace).List(labels.Everything()); err != nil {
		return s, fmt.Errorf("list replicasets: %w", err)
	}
	return s, nil
}
