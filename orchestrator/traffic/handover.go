package traffic

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"skiff/orchestrator/resource"
	"skiff/proxy/pool"
)

// Add makes a Pod that is ready a back end of every Service that selects it.
// When it returns, requests may arrive. Adding it again changes nothing.
func (d *Director) Add(_ context.Context, pod *corev1.Pod) error {
	if pod.Status.PodIP == "" {
		return fmt.Errorf("add pod %s/%s to its services: it has no address", pod.Namespace, pod.Name)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ready[pod.UID] = pod
	for _, s := range d.in(pod.Namespace) {
		if !s.selector.Matches(labels.Set(pod.Labels)) {
			continue
		}
		for _, p := range s.ports {
			if m, ok := memberFor(p.spec, pod); ok {
				p.pool.Add(m.ID, m.Address)
			}
		}
	}
	d.expectIn(pod.Namespace)
	return nil
}

// Remove takes a Pod out of every pool: when it returns no new request reaches
// it. Requests in flight go on, and it may be added again. A Pod that was
// never added is fine.
func (d *Director) Remove(_ context.Context, uid types.UID) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	namespace := corev1.NamespaceAll
	if pod := d.ready[uid]; pod != nil {
		namespace = pod.Namespace
	}
	delete(d.ready, uid)
	d.expectIn(namespace) // before the pool is empty, so that it holds
	for _, p := range d.pools(namespace) {
		p.Remove(string(uid))
	}
	return nil
}

// Drain takes a Pod out of every pool for good, and returns when nothing of
// its traffic is in flight any more. TCP connections, WebSockets and event
// streams are cut after streams, requests when ctx ends.
func (d *Director) Drain(ctx context.Context, pod *corev1.Pod, streams time.Duration) error {
	d.mu.Lock()
	delete(d.ready, pod.UID)
	d.expectIn(pod.Namespace)
	pools := d.pools(pod.Namespace)
	d.mu.Unlock()

	var all sync.WaitGroup
	errs := make([]error, len(pools))
	for i, p := range pools {
		all.Go(func() { errs[i] = p.Drain(ctx, string(pod.UID), streams) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("drain pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return nil
}

// letGo drains a Pod that left one pool but is not stopped: the selector
// changed, or the port is gone.
func (d *Director) letGo(ctx context.Context, p *pool.Pool, uid string) {
	streams, requests := resource.DefaultDrain, defaultRequests
	if pod := d.ready[types.UID(uid)]; pod != nil {
		streams = resource.DrainTime(pod)
		if grace := pod.Spec.TerminationGracePeriodSeconds; grace != nil {
			requests = time.Duration(*grace) * time.Second
		}
	}
	d.parting.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, requests)
		defer cancel()
		if err := p.Empty(ctx, uid, streams); err != nil {
			d.log.Warn("let go of connections", "pod", uid, "error", err)
		}
	})
}

const defaultRequests = 30 * time.Second

// Below: mu is held.

// in lists the Services of a namespace, or of all.
func (d *Director) in(namespace string) []*service {
	var in []*service
	for _, s := range d.served {
		if namespace == corev1.NamespaceAll || s.namespace == namespace {
			in = append(in, s)
		}
	}
	return in
}

// pools lists all pools that may have something of a Pod in a namespace.
func (d *Director) pools(namespace string) []*pool.Pool {
	var pools []*pool.Pool
	for _, s := range d.in(namespace) {
		for _, p := range s.ports {
			pools = append(pools, p.pool)
		}
	}
	for p, of := range d.retired {
		if namespace == corev1.NamespaceAll || of == namespace {
			pools = append(pools, p)
		}
	}
	return pools
}

func (d *Director) expectIn(namespace string) {
	for _, s := range d.in(namespace) {
		around, err := d.around(s.namespace)
		if err != nil {
			d.log.Error("look for pods to come", "error", err)
			return
		}
		expected := d.expectation(s, around)
		for _, p := range s.ports {
			p.pool.Expect(expected)
		}
	}
}

func (d *Director) expectation(s *service, around surroundings) pool.Expectation {
	return expectation(s.selector, around, func(uid types.UID) bool { return d.ready[uid] != nil })
}
