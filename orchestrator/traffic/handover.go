package traffic

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/proxy/pool"
)

// Add makes a Pod that is ready a back end of every Service that selects it.
// When it returns, requests may arrive. Adding it again changes nothing.
func (d *Director) Add(ctx context.Context, pod *corev1.Pod) error {
	if pod.Status.PodIP == "" {
		return fmt.Errorf("add pod %s/%s to its services: it has no address", pod.Namespace, pod.Name)
	}
	if err := d.awaitKnown(ctx); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ready[pod.UID] = pod
	for _, s := range d.in(pod.Namespace) {
		if err := d.show(ctx, s); err != nil {
			return fmt.Errorf("add pod %s/%s to service %s: %w", pod.Namespace, pod.Name, s.key, err)
		}
	}
	if claimsPorts(pod) {
		d.showPod(ctx, pod)
	}
	return nil
}

// Remove takes a Pod out of every pool: when it returns no new request reaches
// it. Requests in flight go on, and it may be added again. A Pod that was
// never added is fine.
func (d *Director) Remove(ctx context.Context, uid types.UID) error {
	return d.takeOut(ctx, uid, func(f Front) func(context.Context) error { return f.Remove(string(uid)) })
}

// Drain takes a Pod out of every pool for good, and returns when nothing of
// its traffic is in flight any more. TCP connections, WebSockets, event
// streams and calls that rest are cut after streams, requests when ctx ends.
func (d *Director) Drain(ctx context.Context, pod *corev1.Pod, streams time.Duration) error {
	err := d.takeOut(ctx, pod.UID, func(f Front) func(context.Context) error { return f.Drain(string(pod.UID), streams) })
	if d.Drained != nil {
		d.Drained(pod)
	}
	if err != nil {
		return fmt.Errorf("drain pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return nil
}

// takeOut removes a Pod from every front and waits until all say that it is.
func (d *Director) takeOut(ctx context.Context, uid types.UID, from func(Front) func(context.Context) error) error {
	if err := d.awaitKnown(ctx); err != nil {
		return err
	}
	d.mu.Lock()
	namespace := corev1.NamespaceAll
	if pod := d.ready[uid]; pod != nil {
		namespace = pod.Namespace
	}
	delete(d.ready, uid)
	d.expectIn(namespace) // before the pool is empty, so that it holds
	d.unready(uid)
	var waits []func(context.Context) error
	for _, f := range d.fronts {
		waits = append(waits, from(f))
	}
	d.mu.Unlock()

	errs := make([]error, len(waits))
	var all sync.WaitGroup
	for i, wait := range waits {
		all.Go(func() { errs[i] = wait(ctx) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// Halt says that skiff goes down: no Pod comes any more, and requests are not held
// for one.
func (d *Director) Halt() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.halted = true
	d.expectIn(corev1.NamespaceAll)
	for key, h := range d.claims {
		d.Host.Expect(key, d.expectPod(h.pod))
	}
}

// whyHalted is the reason that callers are given from then on.
const whyHalted = "skiff goes down"

// awaitKnown waits for what an earlier run has left to be known: what is said
// of a Pod now must not be overtaken by that.
func (d *Director) awaitKnown(ctx context.Context) error {
	select {
	case <-d.known:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

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

// expectIn tells what is to be expected without the Pods that are not ready,
// and no longer names them.
func (d *Director) expectIn(namespace string) {
	for _, s := range d.in(namespace) {
		around, err := d.around(s.namespace)
		if err != nil {
			d.Log.Error("look for pods to come", "error", err)
			return
		}
		expected := d.expectation(s, around)
		for _, f := range d.fronts {
			f.Expect(s.key, expected)
		}
		d.publish(s, d.backends(s, around))
	}
}

func (d *Director) expectation(s *service, around surroundings) pool.Expectation {
	if len(s.object.Spec.Selector) == 0 {
		return pool.Expectation{Reason: "the Service has no endpoints"}
	}
	if d.halted {
		return pool.Expectation{Reason: whyHalted}
	}
	expected := expectation(s.selector, around, func(uid types.UID) bool { return d.ready[uid] != nil })
	if around.outage {
		expected.Reason = "the container engine does not answer: " + expected.Reason
	}
	return expected
}
