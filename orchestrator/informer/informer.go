// Package informer shares one informer per kind among the controllers. It makes
// those of the kinds that they watch and no others: client-go's factories link
// the informers of every kind and version, which is 11 MB of program.
package informer

import (
	"context"
	"reflect"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// Factory makes the informers and runs them. Asking for the informer of a kind
// is what makes it exist; do so before it is started. Its methods may be called
// from any goroutine.
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

// shared gives the informer of obj's kind, which make makes at first.
func (f *Factory) shared(obj runtime.Object, make func() cache.SharedIndexInformer) cache.SharedIndexInformer {
	f.mu.Lock()
	defer f.mu.Unlock()
	kind := reflect.TypeOf(obj)
	if f.informers[kind] == nil {
		f.informers[kind] = make()
	}
	return f.informers[kind]
}

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
