// Package orchestrator puts skiff's parts together: the API server over its
// store, the controllers, the Pod worker on a Docker Engine and the proxy. It
// can be embedded in a program or a test; the skiff command is one such program.
package orchestrator

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apiresource "k8s.io/apimachinery/pkg/api/resource"
)

// DefaultName is the instance that is meant where none is named.
const DefaultName = "default"

// Options choose an instance and how it is reached.
type Options struct {
	Name    string // of the instance, a DNS label; one per engine and data directory
	DataDir string // its state; created with mode 0700
	Listen  string // address of the API, on loopback; port 0 picks a free one
	Version string // of skiff, as the API reports it
	Log     *slog.Logger

	// GatewayProgram is the path of a skiff program that runs alone in a
	// container of the engine: static, for Linux. Empty: this program is one.
	GatewayProgram string

	// TakeOver has the instance taken over from the process that runs it, with
	// all that is open there, instead of being started afresh.
	TakeOver bool
	// Args are what a program is started with for this instance: the next
	// process, which takes over, learns them by Describe.
	Args []string

	// Ingress is where Ingresses are served on loopback, and Services by their
	// names below "localhost"; nil: they are not.
	Ingress *IngressPorts

	// What Pods may request together; zero: as much as the machine has.
	CPUs, Memory apiresource.Quantity
}

// capacity is what the options say that the node has.
func (o Options) capacity() corev1.ResourceList {
	list := corev1.ResourceList{}
	for name, quantity := range map[corev1.ResourceName]apiresource.Quantity{corev1.ResourceCPU: o.CPUs, corev1.ResourceMemory: o.Memory} {
		if !quantity.IsZero() {
			list[name] = quantity
		}
	}
	return list
}

// Orchestrator is one instance of skiff. Its methods may be called from any
// goroutine.
type Orchestrator struct {
	options Options
	paths   Paths
	ready   chan struct{}
	begun   sync.Once // closes ready

	mu       sync.Mutex // guards what follows, which Run sets
	address  string
	stopPods func(context.Context) error
	settled  chan struct{} // nil, or closed once it is decided who goes on
}

// New checks the options. It starts nothing and touches nothing.
func New(o Options) (*Orchestrator, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	return &Orchestrator{options: o, paths: PathsIn(o.DataDir), ready: make(chan struct{})}, nil
}

// Ready is closed once the API answers and every part works.
func (o *Orchestrator) Ready() <-chan struct{} { return o.ready }

// Address is where the API listens, host:port. It is empty until Ready is
// closed.
func (o *Orchestrator) Address() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.address
}

// ErrNotReady is the answer to a call that needs Ready to be closed.
var ErrNotReady = errors.New("the orchestrator is not ready")

// StopPods stops every container as a deletion of its Pod would: out of the
// pools, requests in flight finished, preStop, SIGTERM, grace period. The
// objects stay, and the next Run starts the containers again. It returns when
// all have stopped, or with ctx.
func (o *Orchestrator) StopPods(ctx context.Context) error {
	for {
		o.mu.Lock()
		stop, settled := o.stopPods, o.settled
		o.mu.Unlock()
		switch {
		case settled != nil:
			select {
			case <-settled:
			case <-ctx.Done():
				return ctx.Err()
			}
		case stop == nil:
			return ErrNotReady
		default:
			return stop(ctx)
		}
	}
}
