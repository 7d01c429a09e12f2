// Package traffic directs what forwards to Pods: the host's proxy, which serves
// what is reached from the host, and the gateway, which serves the ClusterIPs
// and names that Pods use. It says where to listen for each port of a Service
// and which Pods are behind it, those that are ready and selected. Which Pods
// are ready is told by the node, call by call, and not by what the API says,
// which lags behind.
package traffic

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	appslisters "k8s.io/client-go/listers/apps/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/kubectl/pkg/util/podutils"

	"skiff/orchestrator/informer"
	"skiff/orchestrator/resource"
	"skiff/orchestrator/work"
	"skiff/proxy/dns"
	"skiff/proxy/pool"
	"skiff/proxy/switchboard"
)

// Front is what forwards requests to Pods. Its methods return at once; what has
// to be waited for is what they return.
type Front interface {
	// Set forwards a Service as it is now, and says which addresses it could not
	// listen to. Connections to back ends that are gone are let go.
	Set(ctx context.Context, s switchboard.Service) (failed map[string]error)
	// Expect says of a Service whether a back end is on its way.
	Expect(service string, e pool.Expectation)
	// Remove takes a back end out of every pool; it may come back. Once wait has
	// returned, no new request reaches it.
	Remove(id string) (wait func(context.Context) error)
	// Drain takes it out for good. Once wait has returned, nothing of it is in
	// flight any more: streams are cut after the given time, requests when
	// wait's context ends.
	Drain(id string, streams time.Duration) (wait func(context.Context) error)
}

// Inside is the front on the instance's network, which Pods use.
type Inside interface {
	Front
	// Publish makes records all that the DNS says of a Service.
	Publish(service string, records []dns.Record)
	// Begin says that all there is has been set.
	Begin()
}

// A port that is taken is tried again this often.
const (
	firstRetry   = 250 * time.Millisecond
	longestRetry = 5 * time.Second
)

// Options are what a Director works with.
type Options struct {
	Client   kubernetes.Interface
	Factory  *informer.Factory // to be started after New
	Host     Front
	Inside   Inside         // nil: Pods do not reach Services
	Own      []netip.Prefix // addresses of what is inside itself: ClusterIPs and its own
	Recorder record.EventRecorder
	Log      *slog.Logger
	// Loopbacks are where the host reaches Services. The first is the address that
	// a LoadBalancer's status gives.
	Loopbacks []string
	// Names says that Named will be called.
	Names bool
	// Drained, which may be nil, hears of each Pod whose drain is over.
	Drained func(*corev1.Pod)
}

// Director is safe for concurrent use.
type Director struct {
	Options
	fronts []Front

	services    corelisters.ServiceLister
	slices      discoverylisters.EndpointSliceLister
	endpoints   corelisters.EndpointsLister
	pods        corelisters.PodLister
	nodes       corelisters.NodeLister
	deployments appslisters.DeploymentLister
	replicaSets appslisters.ReplicaSetLister
	synced      []cache.InformerSynced
	queue       workqueue.TypedRateLimitingInterface[string]

	known chan struct{} // closed once ready holds what an earlier run left
	begun chan struct{} // closed once every Service that there was is served

	mu     sync.Mutex // guards all below, and every service
	ready  map[types.UID]*corev1.Pod
	served map[string]*service // by namespace/name
	claims map[string]*hostPorts
	named  map[string]string // URLs, by namespace/name; nil: not known yet
	halted bool              // no Pod comes any more
}

// New makes a Director.
func New(o Options) *Director {
	d := &Director{
		Options:     o,
		fronts:      []Front{o.Host},
		services:    o.Factory.Services().Lister(),
		slices:      o.Factory.EndpointSlices().Lister(),
		endpoints:   o.Factory.Endpoints().Lister(),
		pods:        o.Factory.Pods().Lister(),
		nodes:       o.Factory.Nodes().Lister(),
		deployments: o.Factory.Deployments().Lister(),
		replicaSets: o.Factory.ReplicaSets().Lister(),
		queue: workqueue.NewTypedRateLimitingQueue(
			workqueue.NewTypedItemExponentialFailureRateLimiter[string](firstRetry, longestRetry)),
		known:  make(chan struct{}),
		begun:  make(chan struct{}),
		ready:  map[types.UID]*corev1.Pod{},
		served: map[string]*service{},
		claims: map[string]*hostPorts{},
	}
	if o.Inside != nil {
		d.fronts = append(d.fronts, o.Inside)
	}
	d.watch(o.Factory.Services().Informer(), work.OnAny(d.enqueue))
	d.watch(o.Factory.EndpointSlices().Informer(), work.OnAny(d.enqueueOwner))
	d.watch(o.Factory.Endpoints().Informer(), work.OnAny(d.enqueueOwner))
	d.watch(o.Factory.Pods().Informer(), work.OnAny(d.enqueuePod))
	d.watch(o.Factory.Nodes().Informer(), work.OnAny(func(*corev1.Node) { d.enqueueAll() }))
	d.watch(o.Factory.Deployments().Informer(), work.OnAny(d.enqueueNamespace))
	d.watch(o.Factory.ReplicaSets().Informer(), work.OnAny(d.enqueueNamespace))
	return d
}

// Run follows the Services until ctx ends.
func (d *Director) Run(ctx context.Context) error {
	var worker sync.WaitGroup
	worker.Go(func() {
		if !cache.WaitForCacheSync(ctx.Done(), d.synced...) || d.begin(ctx) != nil {
			return
		}
		for d.next(ctx) {
		}
	})
	<-ctx.Done()
	d.queue.ShutDown()
	worker.Wait()
	return nil
}

// begin takes up what an earlier run has left: Pods that it called ready are
// so until the node says otherwise. Only when every Service is known does the
// gateway hear of anything, which goes on with what it has until then.
func (d *Director) begin(ctx context.Context) error {
	pods, err := d.pods.List(labels.Everything())
	if err != nil {
		return fmt.Errorf("list pods: %w", err)
	}
	d.mu.Lock()
	for _, pod := range pods {
		if podutils.IsPodReady(pod) && resource.IsActive(pod) && pod.Status.PodIP != "" {
			d.ready[pod.UID] = pod
		}
	}
	d.mu.Unlock()
	close(d.known)
	services, err := d.services.List(labels.Everything())
	if err != nil {
		return fmt.Errorf("list services: %w", err)
	}
	for _, pod := range pods {
		if key := podKey + pod.Namespace + "/" + pod.Name; claimsPorts(pod) && d.look(ctx, key) != nil {
			d.queue.AddRateLimited(key)
		}
	}
	for _, svc := range services {
		key := svc.Namespace + "/" + svc.Name
		if d.look(ctx, key) != nil {
			d.queue.AddRateLimited(key)
		}
	}
	if d.Inside != nil {
		d.Inside.Begin()
	}
	close(d.begun)
	return ctx.Err()
}

// Begun is closed once Run serves every Service that there was.
func (d *Director) Begun() <-chan struct{} { return d.begun }

func (d *Director) next(ctx context.Context) bool {
	key, shutdown := d.queue.Get()
	if shutdown {
		return false
	}
	defer d.queue.Done(key)
	if err := d.look(ctx, key); err != nil {
		d.Log.Debug("direct traffic; trying again", "service", key, "error", err)
		d.queue.AddRateLimited(key)
		return true
	}
	d.queue.Forget(key)
	return true
}

func (d *Director) look(ctx context.Context, key string) error {
	return work.Contain(ctx, func(ctx context.Context) error { return d.sync(ctx, key) })
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
	if node, err := d.nodes.Get(resource.NodeName); err == nil {
		s.outage = slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
			return c.Type == corev1.NodeReady && c.Status == corev1.ConditionFalse
		})
	}
	return s, nil
}
