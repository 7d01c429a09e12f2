// Package claim gives each PersistentVolumeClaim a PersistentVolume, which
// stands for a volume of the engine, keeps both for as long as a Pod uses them,
// and removes the engine's volume with the claim.
package claim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"

	"skiff/orchestrator/informer"
	"skiff/orchestrator/resource"
)

const (
	firstRetry = 5 * time.Millisecond
	lastRetry  = 10 * time.Second
)

// Volumes is what the controller needs of the engine. None of that name is
// fine; an error while a container has it.
type Volumes interface {
	RemoveVolume(ctx context.Context, name string) error
}

// Controller binds claims and removes what they leave.
type Controller struct {
	client  kubernetes.Interface
	engine  Volumes
	log     *slog.Logger
	claims  coreinformers.PersistentVolumeClaimInformer
	volumes coreinformers.PersistentVolumeInformer
	pods    coreinformers.PodInformer
}

// New makes a controller that reads through factory, which the caller starts
// afterwards, and writes through client.
func New(client kubernetes.Interface, factory *informer.Factory, engine Volumes, log *slog.Logger) *Controller {
	c := &Controller{
		client: client, engine: engine, log: log.With("controller", "claim"),
		claims: factory.PersistentVolumeClaims(), volumes: factory.PersistentVolumes(), pods: factory.Pods(),
	}
	for _, i := range []interface {
		Informer() cache.SharedIndexInformer
	}{c.claims, c.volumes, c.pods} {
		i.Informer() // asking for it is what makes the factory start it
	}
	return c
}

// key is a claim, or a volume where there is no namespace.
type key = cache.ObjectName

// run is what a Controller has while it runs.
type run struct {
	*Controller
	queue  workqueue.TypedRateLimitingInterface[key]
	events record.EventRecorder
}

// Run works until ctx ends, and returns once nothing is under way any more.
func (c *Controller) Run(ctx context.Context) error {
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	defer broadcaster.Shutdown()
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: c.client.CoreV1().Events("")})
	r := &run{
		Controller: c,
		queue:      workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[key](firstRetry, lastRetry)),
		events:     broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "persistentvolume-controller"}),
	}
	stop, synced, err := r.watch()
	defer stop()
	if err != nil {
		return fmt.Errorf("watch claims: %w", err)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer r.queue.ShutDown()
	if !cache.WaitFor(ctx, "", synced...) {
		return nil
	}
	wg.Go(func() { r.work(ctx) })
	<-ctx.Done()
	return nil
}

// watch fills the queue until stop is called.
func (r *run) watch() (stop func(), synced []cache.DoneChecker, err error) {
	var stops []func()
	stop = func() {
		for _, s := range stops {
			s()
		}
	}
	follow := func(i cache.SharedIndexInformer, changed func(obj any)) error {
		registration, err := i.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: changed, UpdateFunc: func(_, obj any) { changed(obj) }, DeleteFunc: changed,
		})
		if err != nil {
			return err
		}
		stops = append(stops, func() { _ = i.RemoveEventHandler(registration) })
		synced = append(synced, registration.HasSyncedChecker())
		return nil
	}
	err = errors.Join(
		follow(r.claims.Informer(), r.claimChanged),
		follow(r.volumes.Informer(), r.volumeChanged),
		follow(r.pods.Informer(), r.podChanged),
	)
	return stop, synced, err
}

// latest is the object that an event is about, also of a deletion that was
// missed.
func latest[T any](obj any) (T, bool) {
	if unknown, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = unknown.Obj
	}
	t, ok := obj.(T)
	return t, ok
}

func (r *run) claimChanged(obj any) {
	if c, ok := latest[*corev1.PersistentVolumeClaim](obj); ok {
		r.queue.Add(cache.MetaObjectToName(c))
		r.queue.Add(key{Name: resource.VolumeName(c)})
	}
}

func (r *run) volumeChanged(obj any) {
	v, ok := latest[*corev1.PersistentVolume](obj)
	if !ok {
		return
	}
	r.queue.Add(cache.MetaObjectToName(v))
	if ref := v.Spec.ClaimRef; ref != nil {
		r.queue.Add(key{Namespace: ref.Namespace, Name: ref.Name})
	}
}

// podChanged wakes the claims that the Pod may have let go.
func (r *run) podChanged(obj any) {
	pod, ok := latest[*corev1.Pod](obj)
	if !ok {
		return
	}
	for _, v := range pod.Spec.Volumes {
		if v.PersistentVolumeClaim != nil {
			r.queue.Add(key{Namespace: pod.Namespace, Name: v.PersistentVolumeClaim.ClaimName})
		}
	}
}

func (r *run) work(ctx context.Context) {
	for {
		k, quit := r.queue.Get()
		if quit {
			return
		}
		sync := r.syncClaim
		if k.Namespace == "" {
			sync = r.syncVolume
		}
		if err := sync(ctx, k); err != nil && ctx.Err() == nil {
			r.log.Debug("try again", "object", k.String(), "error", err)
			r.queue.AddRateLimited(k)
		} else {
			r.queue.Forget(k)
		}
		r.queue.Done(k)
	}
}

// isOurs says whether a volume is one that skiff has made.
func isOurs(v *corev1.PersistentVolume) bool {
	return v.Spec.CSI != nil && v.Spec.CSI.Driver == resource.VolumeDriver
}
