package receipt

import (
	"context"
	"log/slog"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	appsinformers "k8s.io/client-go/informers/apps/v1"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"

	"skiff/orchestrator/informer"
	"skiff/orchestrator/work"
	"skiff/proxy/switchboard"
)

const workers = 2

// Options are what a Controller works with.
type Options struct {
	Client  kubernetes.Interface
	Factory *informer.Factory // to be started after New
	// Counts is what was counted up to now, by namespace/name of the Service.
	Counts func(context.Context) switchboard.Counts
	Clock  clock.WithTicker
	Log    *slog.Logger
}

// Controller follows the rollouts of Deployments.
type Controller struct {
	Options
	deployments appsinformers.DeploymentInformer
	sets        appsinformers.ReplicaSetInformer
	pods        coreinformers.PodInformer
	queue       *work.Queue[cache.ObjectName]

	mu       sync.Mutex // guards all below
	followed map[cache.ObjectName]*course
	drained  map[types.UID]bool // Pods of which nothing is in flight any more
}

// New makes a Controller.
func New(o Options) *Controller {
	c := &Controller{
		Options:     o,
		deployments: o.Factory.Deployments(),
		sets:        o.Factory.ReplicaSets(),
		pods:        o.Factory.Pods(),
		queue:       work.NewQueue[cache.ObjectName](o.Log.With("controller", "receipt"), o.Clock),
		followed:    map[cache.ObjectName]*course{},
		drained:     map[types.UID]bool{},
	}
	c.queue.Follow(c.deployments.Informer(), cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(obj any, initial bool) {
			name := cache.MetaObjectToName(obj.(*appsv1.Deployment))
			if initial {
				c.follow(name).earlier = true
			}
			c.queue.Add(name)
		},
		UpdateFunc: func(_, obj any) { c.queue.Add(cache.MetaObjectToName(obj.(*appsv1.Deployment))) },
		DeleteFunc: func(obj any) {
			if d, ok := work.LastState[*appsv1.Deployment](obj); ok {
				c.queue.Add(cache.MetaObjectToName(d))
			}
		},
	})
	c.queue.Follow(c.sets.Informer(), work.OnAny(c.setChanged))
	c.queue.Follow(c.pods.Informer(), cache.ResourceEventHandlerFuncs{DeleteFunc: func(obj any) {
		if pod, ok := work.LastState[*corev1.Pod](obj); ok {
			c.podGone(pod)
		}
	}})
	return c
}

// Drained hears that nothing is in flight any more of a Pod that leaves.
func (c *Controller) Drained(pod *corev1.Pod) {
	c.mu.Lock()
	c.drained[pod.UID] = true
	c.mu.Unlock()
	c.wakeOwner(pod)
}

func (c *Controller) podGone(pod *corev1.Pod) {
	c.mu.Lock()
	delete(c.drained, pod.UID)
	c.mu.Unlock()
	c.wakeOwner(pod)
}

func (c *Controller) wakeOwner(pod *corev1.Pod) {
	owner := metav1.GetControllerOfNoCopy(pod)
	if owner == nil || owner.Kind != "ReplicaSet" {
		return
	}
	if rs, err := c.sets.Lister().ReplicaSets(pod.Namespace).Get(owner.Name); err == nil {
		c.setChanged(rs)
	}
}

func (c *Controller) setChanged(rs *appsv1.ReplicaSet) {
	if owner := metav1.GetControllerOfNoCopy(rs); owner != nil && owner.Kind == "Deployment" {
		c.queue.Add(cache.NewObjectName(rs.Namespace, owner.Name))
	}
}

// follow gives what is known of a Deployment's rollouts.
func (c *Controller) follow(name cache.ObjectName) *course {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.followed[name] == nil {
		c.followed[name] = &course{}
	}
	return c.followed[name]
}

func (c *Controller) forget(name cache.ObjectName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.followed, name)
}

func (c *Controller) isDrained(pod *corev1.Pod) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.drained[pod.UID]
}

// Run follows until ctx ends, and returns once nothing is under way any more.
func (c *Controller) Run(ctx context.Context) error {
	events := work.NewEvents(ctx, c.Client)
	defer events.Close()
	r := &run{c, events.By("skiff-receipt")}
	return c.queue.Run(ctx, workers, r.sync)
}

// run is what a Controller has while it runs.
type run struct {
	*Controller
	events record.EventRecorder
}
