package traffic

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"

	"skiff/proxy"
	"skiff/proxy/pool"
	"skiff/proxy/switchboard"
)

// service is what is served of one Service.
type service struct {
	namespace, key string
	object         *corev1.Service
	selector       labels.Selector
	protocols      map[string]protocol // of its ports, as far as was known last
	hosts          map[string]error    // address on the host → why it is not listened to; nil: it is
	instead        map[string]int32    // port → what stands in on the host for its own number, which the user may not have
	loops          []string            // endpoints that are left out
}

var errPortTaken = errors.New("a port is not free")

// sync brings the fronts in line with one Service, or one Pod's host ports.
func (d *Director) sync(ctx context.Context, key string) error {
	if strings.HasPrefix(key, podKey) {
		return d.syncPod(ctx, key)
	}
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
	r, err := d.update(ctx, svc)
	if err != nil {
		return err
	}
	if err := d.writeReach(ctx, svc, r); err != nil {
		return err
	}
	if r.partly {
		return errPortTaken
	}
	return nil
}

// update serves svc as it is now, and says how the host reaches it.
func (d *Director) update(ctx context.Context, svc *corev1.Service) (r reach, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := svc.Namespace + "/" + svc.Name
	s := d.served[key]
	if s == nil {
		s = &service{namespace: svc.Namespace, key: key, hosts: map[string]error{}, instead: map[string]int32{}}
		d.served[key] = s
	}
	s.object, s.selector = svc, labels.Nothing()
	if len(svc.Spec.Selector) > 0 {
		s.selector = labels.SelectorFromSet(svc.Spec.Selector)
	}
	if err := d.show(ctx, s); err != nil {
		return reach{}, err
	}
	return d.reachOf(s), nil
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
	for {
		atHost := withExpectation(forwarded(s, ports, d.hostAddresses, shared), expected)
		failed := d.Host.Set(ctx, atHost)
		if !d.standIn(s, failed) {
			d.noteOpen(s, atHost.Ports, failed)
			break
		}
	}
	if d.Inside != nil {
		d.Inside.Set(ctx, withExpectation(forwarded(s, ports, clusterAddresses, nowhereElse), expected))
	}
	d.publish(s, backends)
	return nil
}

func withExpectation(s switchboard.Service, e pool.Expectation) switchboard.Service {
	s.Expected = e
	return s
}

// shared says of a port that it is reached at addresses that many Services
// share: by a host name or an Ingress.
func shared(p switchboard.Port) bool { return p.Mode != proxy.UDP }

func nowhereElse(switchboard.Port) bool { return false }

// forwarded is what one front makes of a Service: those of its ports that are
// reached there, at addresses of their own or others.
func forwarded(s *service, ports []servedPort, addresses func(*service, corev1.ServicePort) []string, elsewhere func(switchboard.Port) bool) switchboard.Service {
	out := switchboard.Service{Name: s.key}
	for _, p := range ports {
		if p.Addresses = addresses(s, p.spec); len(p.Addresses) > 0 || elsewhere(p.Port) {
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
	wanted, last := map[string]bool{}, maps.Clone(s.hosts)
	for _, p := range ports {
		for _, address := range p.Addresses {
			wanted[address] = true
			s.hosts[address] = failed[address]
		}
	}
	for _, p := range ports {
		for _, address := range p.Addresses {
			before, err := last[address], failed[address]
			switch {
			case itsOwn(err) && !itsOwn(before):
				reason, message := explain(address, s.instead[p.Name], err)
				if urls := d.urlsOfPort(s, p.Name); reason == "PortInUse" && len(urls) > 0 {
					message += "; meanwhile the Service is reached at " + strings.Join(urls, " and ")
				}
				d.Recorder.Event(s.object, corev1.EventTypeWarning, reason, message)
				d.Log.Warn("listen for service", "service", s.key, "address", address, "error", err)
			case err == nil && itsOwn(before):
				d.Recorder.Eventf(s.object, corev1.EventTypeNormal, "Listening", "%s is free now; the Service is reached there", address)
			}
		}
	}
	for address, before := range s.hosts {
		if !wanted[address] {
			delete(s.hosts, address)
			if before == nil {
				d.wakeOthers(s.key)
			}
		}
	}
}

// itsOwn says whether an address is closed for a reason of its own.
func itsOwn(err error) bool { return err != nil && !errors.Is(err, switchboard.ErrApart) }

// wakeOthers lets Services that wait for a port try at once.
func (d *Director) wakeOthers(key string) {
	for _, s := range d.served {
		if s.key != key && waits(s.hosts) {
			d.queue.Add(s.key)
		}
	}
	for own, h := range d.claims {
		if own != key && waits(h.hosts) {
			d.queue.Add(own)
		}
	}
}

// waits says whether an address is not to be had.
func waits(hosts map[string]error) bool {
	for _, err := range hosts {
		if err != nil {
			return true
		}
	}
	return false
}
