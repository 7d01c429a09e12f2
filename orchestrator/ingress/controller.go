// Package ingress serves Ingresses, and every Service that speaks HTTP by a
// name of its own below "localhost", at two ports that all of them share. It
// says which host and path leads where; what is forwarded there, and how, is
// the proxy's, with the pools that a Service's own ports have.
package ingress

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	networkinglisters "k8s.io/client-go/listers/networking/v1"
	"k8s.io/client-go/tools/record"

	"skiff/orchestrator/informer"
	"skiff/orchestrator/resource"
	"skiff/orchestrator/work"
	"skiff/proxy"
	"skiff/proxy/pool"
)

// Ports are where the doors open; 0 is any port that is free.
type Ports struct{ HTTP, HTTPS int }

// Board is what forwards to Services.
type Board interface {
	// Port is what is forwarded at a port of a Service.
	Port(service, port string) (to proxy.Destination, mode proxy.Mode, ok bool)
	// Follow has changed called when that may have changed.
	Follow(changed func())
	// Share listens for all of them, until Unshare or until a Service wants the
	// address for itself; Shares tells.
	Share(ctx context.Context, l proxy.Listener) error
	Unshare(address string)
	Shares(address string) bool
}

// Options are what a Controller works with.
type Options struct {
	Client   kubernetes.Interface
	Factory  *informer.Factory // to be started after New
	Board    Board
	Nowhere  *pool.Pool // is told of requests that lead nowhere
	Ports    Ports
	GoesOn   bool   // the doors are open, be it by another process: they stay where they are
	Dir      string // where the certificate authority is kept
	Instance string // its name
	Recorder record.EventRecorder
	Log      *slog.Logger
	// Named, which may be nil, hears of the URL that each Service has by its name,
	// by namespace/name.
	Named func(urls map[string]string)
}

// Controller keeps the doors in line with Ingresses and Services.
type Controller struct {
	Options
	ingresses networkinglisters.IngressLister
	classes   networkinglisters.IngressClassLister
	services  corelisters.ServiceLister
	secrets   corelisters.SecretLister

	authority    *authority
	begin        sync.Once
	begun        chan struct{}
	routes       atomic.Pointer[routes]
	certificates atomic.Pointer[certificates]
	secure       atomic.Int32 // the port of HTTPS, or 0

	// The only worker's.
	http, https door
	told        map[types.UID]map[problem]bool
}

// New makes a Controller and, in Dir, its certificate authority.
func New(o Options) (*Controller, error) {
	authority, err := loadAuthority(o.Dir, o.Instance, time.Now)
	if err != nil {
		return nil, err
	}
	c := &Controller{
		Options:   o,
		ingresses: o.Factory.Ingresses().Lister(),
		classes:   o.Factory.IngressClasses().Lister(),
		services:  o.Factory.Services().Lister(),
		secrets:   o.Factory.Secrets().Lister(),
		authority: authority,
		begun:     make(chan struct{}),
		told:      map[types.UID]map[problem]bool{},
	}
	c.Log = o.Log.With("controller", "ingress")
	c.http = c.door("http", o.Ports.HTTP, nil)
	c.https = c.door("https", o.Ports.HTTPS, c.tls())
	empty, _ := newRoutes(nil, nil)
	c.routes.Store(empty)
	c.certificates.Store(&certificates{})
	return c, nil
}

func (c *Controller) door(scheme string, wanted int, tls *tls.Config) door {
	return door{name: scheme, wanted: wanted, board: c.Board, listener: proxy.Listener{
		Name: "ingress " + scheme, Mode: proxy.HTTP, Pool: c.Nowhere, Router: c, TLS: tls,
	}}
}

// Bootstrap makes the class that every instance has.
func (c *Controller) Bootstrap(ctx context.Context) error {
	class := &networkingv1.IngressClass{
		ObjectMeta: metav1.ObjectMeta{
			Name:        resource.IngressClassName,
			Annotations: map[string]string{networkingv1.AnnotationIsDefaultIngressClass: "true"},
		},
		Spec: networkingv1.IngressClassSpec{Controller: resource.IngressController},
	}
	_, err := c.Client.NetworkingV1().IngressClasses().Create(ctx, class, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create ingress class %s: %w", class.Name, err)
	}
	return nil
}

// Begun is closed once Run has opened what doors there are to be.
func (c *Controller) Begun() <-chan struct{} { return c.begun }

// all is the only key: what one Ingress says depends on the others.
type all struct{}

// Run works until ctx ends. What the Board does not have by then has no name and
// no route.
func (c *Controller) Run(ctx context.Context) error {
	queue := work.NewQueue[all](c.Log, nil)
	look := func() { queue.Add(all{}) }
	queue.Follow(c.Factory.Ingresses().Informer(), work.OnAny(func(*networkingv1.Ingress) { look() }))
	queue.Follow(c.Factory.IngressClasses().Informer(), work.OnAny(func(*networkingv1.IngressClass) { look() }))
	queue.Follow(c.Factory.Services().Informer(), work.OnAny(func(*corev1.Service) { look() }))
	queue.Follow(c.Factory.Secrets().Informer(), work.OnAny(func(*corev1.Secret) { look() }))
	c.Board.Follow(look)
	defer c.Board.Follow(nil)
	look()
	return queue.Run(ctx, 1, func(ctx context.Context, _ all) error { return c.sync(ctx) })
}

func (c *Controller) sync(ctx context.Context) error {
	mine, others, err := c.parted()
	if err != nil {
		return err
	}
	services, err := c.services.List(labels.Everything())
	if err != nil {
		return fmt.Errorf("list services: %w", err)
	}
	slices.SortFunc(services, func(a, b *corev1.Service) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	set := ruleSet{resolve: c.resolve}
	set.ingresses(mine)
	names := set.services(services, c.httpOf)
	now, hidden := newRoutes(set.rules, unservedRules(others))
	certificates, problems := certificatesOf(mine, func(namespace, name string) (*corev1.Secret, error) {
		return c.secrets.Secrets(namespace).Get(name)
	})
	c.certificates.Store(&certificates)
	c.routes.Store(now)

	secure := slices.ContainsFunc(mine, func(in *networkingv1.Ingress) bool { return len(in.Spec.TLS) > 0 })
	if c.GoesOn {
		c.http.before, c.https.before = c.published(HTTPPortAnnotation), c.published(HTTPSPortAnnotation)
	}
	err = errors.Join(
		c.http.set(ctx, !now.table.Empty()),
		c.https.set(ctx, secure),
	)
	c.secure.Store(int32(c.https.port))
	if c.Named != nil {
		c.Named(c.http.urls(names))
	}
	c.begin.Do(func() { close(c.begun) })
	for in, more := range set.conflicts(hidden) {
		problems[in] = append(problems[in], more...)
	}
	for _, in := range mine {
		problems[in] = append(problems[in], c.elsewhere(in)...)
	}
	for _, u := range others {
		if u.nobodys {
			problems[u.Ingress] = append(problems[u.Ingress], u.problem())
		}
	}
	c.tell(problems)
	return errors.Join(err, c.publish(ctx), c.writeStatus(ctx, mine))
}

// parted are the Ingresses of classes that this controller serves, and the
// others, the oldest first.
func (c *Controller) parted() (mine []*networkingv1.Ingress, others []unserved, err error) {
	all, err := c.ingresses.List(labels.Everything())
	if err != nil {
		return nil, nil, fmt.Errorf("list ingresses: %w", err)
	}
	slices.SortFunc(all, func(a, b *networkingv1.Ingress) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time),
			cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	known := classes(func(name string) *networkingv1.IngressClass {
		class, err := c.classes.Get(name)
		if err != nil {
			return nil
		}
		return class
	})
	for _, in := range all {
		if known.serve(in) {
			mine = append(mine, in)
		} else {
			others = append(others, known.unserved(in))
		}
	}
	return mine, others, nil
}
