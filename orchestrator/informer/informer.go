// Package informer shares one informer per kind among the controllers. It is
// client-go's factory for the groups that skiff serves: client-go's own links
// the informers of every version of every kind, which is 10 MB of program.
package informer

import (
	"context"
	"reflect"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers/apps"
	"k8s.io/client-go/informers/core"
	"k8s.io/client-go/informers/discovery"
	"k8s.io/client-go/informers/internalinterfaces"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// Informers is where controllers get theirs from. Asking for the informer of a
// kind is what makes it exist; do so before it is started. client-go's own
// factory is one too.
type Informers interface {
	Core() core.Interface
	Apps() apps.Interface
	Discovery() discovery.Interface
}

// Factory makes the informers and runs them. Its methods may be called from any
// goroutine.
type Factory struct {
	client kubernetes.Interface

	mu        sync.Mutex // guards what follows
	informers map[reflect.Type]cache.SharedIndexInformer
	started   map[reflect.Type]bool
	running   sync.WaitGroup
}

// NewFactory makes a factory of informers that read through client.
func NewFactory(client kubernetes.Interface) *Factory {
	return &Factory{
		client:    client,
		informers: map[reflect.Type]cache.SharedIndexInformer{},
		started:   map[reflect.Type]bool{},
	}
}

func (f *Factory) Core() core.Interface           { return core.New(f, "", nil) }
func (f *Factory) Apps() apps.Interface           { return apps.New(f, "", nil) }
func (f *Factory) Discovery() discovery.Interface { return discovery.New(f, "", nil) }

// InformerFor gives the informer of obj's type, which make makes at first.
func (f *Factory) InformerFor(obj runtime.Object, make internalinterfaces.NewInformerFunc) cache.SharedIndexInformer {
	f.mu.Lock()
	defer f.mu.Unlock()
	kind := reflect.TypeOf(obj)
	if f.informers[kind] == nil {
		f.informers[kind] = make(f.client, 0) // no resync: the watch loses nothing
	}
	return f.informers[kind]
}

// InformerName is part of client-go's interface: the informers have no metrics.
func (f *Factory) InformerName() *cache.InformerName { return nil }

// Start runs every informer that was asked for until stop is closed. It does
// not block, and may be called again when more were asked for.
func (f *Factory) Start(stop <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ctx := wait.ContextForChannel(stop)
	for kind, informer := range f.informers {
		if !f.started[kind] {
			f.started[kind] = true
			f.running.Go(func() { informer.RunWithContext(ctx) })
		}
	}
}

// WaitForCacheSync waits until every informer that was started knows all
// objects there are, or ctx ends.
func (f *Factory) WaitForCacheSync(ctx context.Context) {
	f.mu.Lock()
	var synced []cache.DoneChecker
	for kind := range f.started {
		synced = append(synced, f.informers[kind].HasSyncedChecker())
	}
	f.mu.Unlock()
	cache.WaitFor(ctx, "", synced...)
}

// Wait returns once every informer has stopped, after stop was closed.
func (f *Factory) Wait() { f.running.Wait() }
