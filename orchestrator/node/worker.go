// Package node is the Pod worker, skiff's kubelet: it makes the containers that
// Pods ask for, keeps them running, tells traffic and the API how they are, and
// ends them in good order.
//
// Each Pod has one goroutine that owns its state. decide says what to do next
// and podStatus what to report; both are pure. All else is thin: start.go,
// stop.go, image.go and so on each do one kind of work.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"path/filepath"
	"sync"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"skiff/orchestrator/informer"
	"skiff/runtime/address"
	"skiff/runtime/container"
	"skiff/runtime/probe"
)

// Options say whose Pods a Worker runs, and with what. All but Capacity and Logins are needed.
type Options struct {
	Client  kubernetes.Interface
	Factory *informer.Factory // started by the caller, after New
	Engine  Engine
	Traffic Traffic
	Logins  Logins // the user's own, for pulls

	Addresses netip.Prefix        // what Pods get theirs from
	HostIP    netip.Addr          // the node's address, as Pods see it
	DNS       netip.Addr          // the server that Pods look names up at; none: the engine's
	Machine   container.Info      // what the node says of itself
	Capacity  corev1.ResourceList // what it has instead of what the machine has; may be empty
	Version   string              // skiff's own, as the node's kubelet version
	DataDir   string              // volumes that live as long as their Pod are kept below it

	Log *slog.Logger
}

// shared is what all Pods use.
type shared struct {
	Options
	images    *images
	addresses *address.Pool
	turns     *turns
	prober    *probe.Prober
	hooks     *http.Client
	events    *recorder
	tokens    *tokens
	crowded   atomic.Bool // there are too many Pods for a sandbox each to stand by
}

// Worker runs the Pods of the one node.
type Worker struct {
	shared
	informer     cache.SharedIndexInformer
	nodeInformer cache.SharedIndexInformer

	updates  chan update
	nodes    chan *corev1.Node
	met      chan met
	claims   chan struct{}
	ended    chan *pod
	listed   chan []container.Status
	stored   chan []container.Volume
	shutdown chan chan []*pod
	stopped  chan struct{}

	outage        atomic.Bool   // the engine does not answer
	engineChanged chan struct{} // told when outage changes

	// Owned by Run's goroutine.
	pods      map[types.UID]*pod
	places    places
	evictions map[types.UID]eviction
	halting   bool
	tasks     sync.WaitGroup
}

// New prepares a Worker; Run starts it.
func New(o Options) *Worker {
	o.Factory.Services().Informer() // asked for here, since the caller starts them
	o.Factory.ConfigMaps().Informer()
	o.Factory.Secrets().Informer()
	o.Factory.PersistentVolumeClaims().Informer()
	w := &Worker{
		shared: shared{
			Options:   o,
			images:    newImages(o.Engine),
			addresses: address.New(o.Addresses),
			turns:     newTurns(),
			prober:    probe.New(o.Engine.DialContext, o.Engine.Exec),
			hooks:     hookClient(o.Engine.DialContext),
			tokens:    &tokens{},
		},
		informer:     o.Factory.Pods().Informer(),
		nodeInformer: o.Factory.Nodes().Informer(),
		updates:      make(chan update),
		nodes:        make(chan *corev1.Node),
		met:          make(chan met),
		claims:       make(chan struct{}),
		ended:        make(chan *pod),
		listed:       make(chan []container.Status),
		stored:       make(chan []container.Volume),
		shutdown:     make(chan chan []*pod),

		engineChanged: make(chan struct{}, 1),
		stopped:       make(chan struct{}),
		pods:          map[types.UID]*pod{},
		evictions:     map[types.UID]eviction{},
	}
	w.places = newPlaces(w.claimsHold, w.claimsAlone)
	return w
}

// Run works until ctx ends and returns after all that it began has returned.
// Containers are left running; the next Run adopts them.
func (w *Worker) Run(ctx context.Context) error {
	defer close(w.stopped)
	w.events = newRecorder(ctx, w.Client)
	defer w.events.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer w.images.wait()
	defer w.tasks.Wait()
	defer cancel()

	// Subscribed before anything is listed, so that nothing is missed between.
	events := w.Engine.Events(ctx)
	stopWatching, err := w.watch(ctx)
	if err != nil {
		return err
	}
	defer stopWatching()
	w.tasks.Go(func() { w.keepNode(ctx) })
	if !cache.WaitFor(ctx, "", w.informer.HasSyncedChecker()) {
		return nil
	}
	if err := w.adopt(ctx); err != nil {
		return err
	}
	w.loop(ctx, events)
	return nil
}

// watch has the loop told of what the API says, until stop is called.
func (w *Worker) watch(ctx context.Context) (stop func(), err error) {
	var registered []func() error
	stop = func() {
		for _, remove := range registered {
			if err := remove(); err != nil {
				w.Log.Debug("handler was not removed", "error", err)
			}
		}
	}
	for _, of := range []struct {
		informer cache.SharedIndexInformer
		handler  cache.ResourceEventHandler
	}{{w.informer, w.handler(ctx)}, {w.nodeInformer, w.nodeHandler(ctx)},
		{w.Factory.ConfigMaps().Informer(), w.needHandler(ctx)}, {w.Factory.Secrets().Informer(), w.needHandler(ctx)},
		{w.Factory.PersistentVolumeClaims().Informer(), w.claimHandler(ctx)}} {
		registration, err := of.informer.AddEventHandler(of.handler)
		if err != nil {
			stop()
			return nil, fmt.Errorf("watch the API: %w", err)
		}
		registered = append(registered, func() error { return of.informer.RemoveEventHandler(registration) })
	}
	return stop, nil
}

// loop passes on what happens to the Pods that it concerns.
func (w *Worker) loop(ctx context.Context, events <-chan container.Event) {
	for {
		select {
		case u := <-w.updates:
			w.update(ctx, u)
		case m := <-w.met:
			w.needMet(m)
		case node := <-w.nodes:
			w.nodeChanged(ctx, node)
		case <-w.claims:
			w.reschedule(ctx)
		case e, ok := <-events:
			if !ok {
				events = nil // ctx has ended, or is about to
				continue
			}
			w.event(ctx, e)
		case list := <-w.listed:
			w.removeOrphans(ctx, list)
			w.tellOfRunning(list)
		case list := <-w.stored:
			w.removeOrphanVolumes(ctx, list)
		case p := <-w.ended:
			w.forget(ctx, p)
		case answer := <-w.shutdown:
			answer <- w.halt()
		case <-ctx.Done():
			return
		}
	}
}

// Shutdown ends all containers in good order: drained, preStop, SIGTERM, and
// SIGKILL after the grace period. The Pods stay in the API, and the next Run
// starts them again; containers without a Pod are removed. It returns when that is
// done, or with an error when ctx ends before. No Pod is started afterwards.
func (w *Worker) Shutdown(ctx context.Context) error {
	answer := make(chan []*pod, 1)
	select {
	case w.shutdown <- answer:
	case <-w.stopped:
		return errors.New("stop Pods: the worker does not run")
	case <-ctx.Done():
		return fmt.Errorf("stop Pods: %w", ctx.Err())
	}
	for _, p := range <-answer {
		select {
		case <-p.quiet:
		case <-p.done:
		case <-ctx.Done():
			return fmt.Errorf("stop Pod %s/%s: %w", p.namespace, p.name, ctx.Err())
		}
	}
	if !w.outage.Load() {
		w.clearOrphans(ctx)
	}
	return nil
}

func (w *Worker) halt() []*pod {
	w.halting = true
	var pods []*pod
	for _, p := range w.pods {
		p.send(p.halt)
		pods = append(pods, p)
	}
	return pods
}

// podDir is where a Pod's files are.
func (w *shared) podDir(uid types.UID) string {
	return filepath.Join(w.podsDir(), string(uid))
}

func (w *shared) podsDir() string { return filepath.Join(w.DataDir, "pods") }
