package traffic

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"syscall"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"

	"skiff/proxy/pool"
	"skiff/proxy/switchboard"
)

const hostAddress = "127.0.0.1"

// service is what is served of one Service.
type service struct {
	namespace, key string
	object         *corev1.Service
	selector       labels.Selector
	protocols      map[string]protocol // of its ports, as far as was known last
	open           map[string]bool     // address on the host → whether it is listened to; false: it is taken
	loops          []string            // endpoints that are left out
}

var errPortTaken = errors.New("a port is not free")

// sync brings the fronts in line with one Service.
func (d *Director) sync(ctx context.Context, key string) error {
	namespace, name, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return nil
	}
	svc, err := d.services.Services(namespace).Get(name)
	if apierrors.IsNotFound(err) {
		d.forget(ctx, key)
		return nil
	}
	if err != nil {
		return fmt.Errorf("get service: %w", err)
	}
	taken, err := d.update(ctx, svc)
	if err != nil {
		return err
	}
	if err := d.writeStatus(ctx, svc, taken); err != nil {
		return err
	}
	if len(taken) > 0 {
		return errPortTaken
	}
	return nil
}

// update serves svc as it is now. It returns the addresses on the host that
// could not be listened to.
func (d *Director) update(ctx context.Context, svc *corev1.Service) (taken []string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := svc.Namespace + "/" + svc.Name
	s := d.served[key]
	if s == nil {
		s = &service{namespace: svc.Namespace, key: key, open: map[string]bool{}}
		d.served[key] = s
	}
	s.object, s.selector = svc, labels.Nothing()
	if len(svc.Spec.Selector) > 0 {
		s.selector = labels.SelectorFromSet(svc.Spec.Selector)
	}
	if err := d.show(ctx, s); err != nil {
		return nil, err
	}
	for address, open := range s.open {
		if !open {
			taken = append(taken, address)
		}
	}
	return taken, nil
}

// forget stops serving a Service that is gone.
func (d *Director) forget(ctx context.Context, key string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.served[key]
	if s == nil {
		return
	}
	delete(d.served, key)
	if d.Inside != nil {
		d.Inside.Publish(key, nil)
	}
	for _, f := range d.fronts {
		f.Set(ctx, switchboard.Service{Name: key})
	}
	d.noteOpen(s, nil, nil)
}

// Below: mu is held.

// show has every front serve a Service as it is now.
func (d *Director) show(ctx context.Context, s *service) error {
	around, err := d.around(s.namespace)
	if err != nil {
		return err
	}
	backends := d.backends(s, around)
	expected := d.expectation(s, around)
	ports := s.ports(backends, around)
	atHost := forwarded(s, ports, hostAddresses)
	d.noteOpen(s, atHost.Ports, d.Host.Set(ctx, withExpectation(atHost, expected)))
	if d.Inside != nil {
		d.Inside.Set(ctx, withExpectation(forwarded(s, ports, clusterAddresses), expected))
	}
	d.publish(s, backends)
	return nil
}

func withExpectation(s switchboard.Service, e pool.Expectation) switchboard.Service {
	s.Expected = e
	return s
}

// forwarded is what one front makes of a Service: those of its ports that are
// reached there.
func forwarded(s *service, ports []servedPort, addresses func(*corev1.Service, corev1.ServicePort) []string) switchboard.Service {
	out := switchboard.Service{Name: s.key}
	for _, p := range ports {
		if p.Addresses = addresses(s.object, p.spec); len(p.Addresses) > 0 {
			out.Ports = append(out.Ports, p.Port)
		}
	}
	return out
}

// publish tells the names by which Pods find a Service.
func (d *Director) publish(s *service, backends []backend) {
	if d.Inside != nil {
		d.Inside.Publish(s.key, records(s.object, backends))
	}
}

// noteOpen takes note of where a Service is reached on the host now. It tells
// when an address is taken and when it is free again, and lets those that wait
// for an address which was given up try at once.
func (d *Director) noteOpen(s *service, ports []switchboard.Port, failed map[string]error) {
	wanted := map[string]bool{}
	for _, p := range ports {
		for _, address := range p.Addresses {
			wanted[address] = true
			wasOpen, known := s.open[address]
			err := failed[address]
			s.open[address] = err == nil
			switch {
			case err != nil && (wasOpen || !known):
				reason, message := explain(address, err)
				d.Recorder.Event(s.object, corev1.EventTypeWarning, reason, message)
				d.Log.Warn("listen for service", "service", s.key, "address", address, "error", err)
			case err == nil && known && !wasOpen:
				d.Recorder.Eventf(s.object, corev1.EventTypeNormal, "Listening", "%s is free now; the Service is reached there", address)
			}
		}
	}
	for address, wasOpen := range s.open {
		if !wanted[address] {
			delete(s.open, address)
			if wasOpen {
				d.wakeOthers(s.key)
			}
		}
	}
}

// wakeOthers lets Services that wait for a port try at once.
func (d *Director) wakeOthers(key string) {
	for _, s := range d.served {
		if s.key != key && slices.Contains(slices.Collect(maps.Values(s.open)), false) {
			d.queue.Add(s.key)
		}
	}
}

func explain(address string, err error) (reason, message string) {
	const retried = "; the Service is not reached there until it is free"
	var held *switchboard.HeldError
	switch {
	case errors.As(err, &held):
		return "PortInUse", fmt.Sprintf("%s is in use by service %s%s", address, held.By, retried)
	case errors.Is(err, syscall.EADDRINUSE):
		return "PortInUse", fmt.Sprintf("%s is in use by another program%s", address, retried)
	case errors.Is(err, syscall.EACCES):
		return "PortNotAllowed", fmt.Sprintf("the system does not let this user listen on %s", address)
	}
	return "ListenFailed", fmt.Sprintf("cannot listen on %s: %v", address, err)
}

// writeStatus writes the address of a LoadBalancer into its status, once all of
// its ports are served.
func (d *Director) writeStatus(ctx context.Context, svc *corev1.Service, taken []string) error {
	var want []corev1.LoadBalancerIngress
	if svc.Spec.Type == corev1.ServiceTypeLoadBalancer && !anyOwnPort(svc, taken) {
		mode := corev1.LoadBalancerIPModeProxy
		want = []corev1.LoadBalancerIngress{{IP: hostAddress, IPMode: &mode}}
	}
	if equality.Semantic.DeepEqual(svc.Status.LoadBalancer.Ingress, want) {
		return nil
	}
	svc = svc.DeepCopy()
	svc.Status.LoadBalancer.Ingress = want
	_, err := d.Client.CoreV1().Services(svc.Namespace).UpdateStatus(ctx, svc, metav1.UpdateOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("write load balancer address: %w", err)
	}
	return nil
}

func anyOwnPort(svc *corev1.Service, taken []string) bool {
	return slices.ContainsFunc(svc.Spec.Ports, func(p corev1.ServicePort) bool {
		return slices.Contains(taken, at(net.JoinHostPort(hostAddress, strconv.Itoa(int(p.Port))), p.Protocol))
	})
}
