// Package gc removes what nobody needs any more and restores what everybody
// needs: objects whose owners are gone, the content of namespaces that are being
// deleted, old Events; the namespaces that every instance has, and in each the
// default service account and the API's certificate authority.
package gc

import (
	"context"
	"fmt"
	"log/slog"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"

	"skiff/orchestrator/informer"
	"skiff/orchestrator/resource"
)

// Options are what a Controller works with.
type Options struct {
	Client    kubernetes.Interface
	Metadata  metadata.Interface // for objects of any kind
	Factory   *informer.Factory
	Resources []*resource.Definition // every kind that is served
	RootCA    []byte                 // PEM, for the ConfigMap kube-root-ca.crt
	Log       *slog.Logger
}

// Controller is the garbage collector.
type Controller struct {
	client   kubernetes.Interface
	metadata metadata.Interface
	factory  *informer.Factory
	watched  metadatainformer.SharedInformerFactory // of every kind, without specs
	rootCA   string
	log      *slog.Logger

	kinds  map[schema.GroupKind]*kind // those whose objects can own or be owned
	events schema.GroupVersionResource
}

// kind is one served kind as the collector sees it.
type kind struct {
	schema.GroupVersionResource
	namespaced bool
	informer   cache.SharedIndexInformer
}

// New makes a Controller that reads through the informers, which the caller
// starts afterwards.
func New(o Options) (*Controller, error) {
	c := &Controller{
		client:   o.Client,
		metadata: o.Metadata,
		factory:  o.Factory,
		watched:  metadatainformer.NewSharedInformerFactory(o.Metadata, 0),
		rootCA:   string(o.RootCA),
		log:      o.Log.With("controller", "gc"),
		kinds:    map[schema.GroupKind]*kind{},
		events:   corev1.SchemeGroupVersion.WithResource("events"),
	}
	for _, d := range o.Resources {
		if d.StoredAs != nil || d.Review || d.GVR() == c.events {
			continue
		}
		k := &kind{GroupVersionResource: d.GVR(), namespaced: d.Namespaced, informer: c.watched.ForResource(d.GVR()).Informer()}
		if err := k.informer.AddIndexers(cache.Indexers{byOwner: ownerUIDs}); err != nil {
			return nil, fmt.Errorf("index %s by owner: %w", d.GVR(), err)
		}
		c.kinds[d.GVK.GroupKind()] = k
	}
	c.factory.Namespaces().Informer()
	return c, nil
}

// Run works until ctx ends and returns when nothing of it runs any more.
func (c *Controller) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	c.watched.Start(ctx.Done())
	defer c.watched.Shutdown()
	group.Go(func() error { return c.runCollector(ctx) })
	group.Go(func() error { return c.runNamespaces(ctx) })
	group.Go(func() error { return c.runExpiry(ctx, eventLife, maxEvents) })
	return group.Wait()
}
