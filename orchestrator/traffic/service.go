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

	"skiff/proxy"
	"skiff/proxy/pool"
)

const hostAddress = "127.0.0.1"

// service is what is served of one Service.
type service struct {
	namespace, key string
	selector       labels.Selector
	ports          map[int32]*port // by the Service's port number
	open           map[string]bool // address → whether it is listened to; false: it is taken
}

// port is one port of a Service and the pool that it leads to.
type port struct {
	spec     corev1.ServicePort
	pool     *pool.Pool
	protocol protocol
}

var errPortTaken = errors.New("a port is not free")

// sync brings the proxy in line with one Service.
func (d *Director) sync(ctx context.Context, key string) error {
	namespace, name, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return nil
	}
	svc, err := d.services.Services(namespace).Get(name)
	if apierrors.IsNotFound(err) {
		d.update(ctx, &service{namespace: namespace, key: key, selector: labels.Nothing()}, nil, surroundings{})
		return nil
	}
	if err != nil {
		return fmt.Errorf("get service: %w", err)
	}
	around, err := d.around(namespace)
	if err != nil {
		return err
	}
	selector := labels.Nothing()
	if len(svc.Spec.Selector) > 0 {
		selector = labels.SelectorFromSet(svc.Spec.Selector)
	}
	taken := d.update(ctx, &service{namespace: namespace, key: key, selector: selector}, svc, around)
	if err := d.publish(ctx, svc, taken); err != nil {
		return err
	}
	if len(taken) > 0 {
		return errPortTaken
	}
	return nil
}

// update serves svc as it is now, or, if it is nil, no longer. It returns the
// addresses that could not be listened to.
func (d *Director) update(ctx context.Context, s *service, svc *corev1.Service, around surroundings) (taken []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s.ports, s.open = map[int32]*port{}, map[string]bool{}
	if old := d.served[s.key]; old != nil {
		s.ports, s.open = old.ports, old.open
	}
	specs := servedPorts(svc)
	var gone []*port
	for number, p := range s.ports {
		if _, stays := specs[number]; !stays {
			gone = append(gone, p)
			delete(s.ports, number)
		}
	}
	for number, spec := range specs {
		p := s.ports[number]
		if p == nil {
			p = &port{pool: d.proxy.NewPool()}
			s.ports[number] = p
		}
		p.spec = spec
		p.protocol = protocolOf(spec, p.protocol, around.templates(s.selector))
	}
	expected := d.expectation(s, around)
	for _, p := range s.ports {
		for _, left := range p.pool.Replace(d.members(s, p.spec), expected) {
			d.letGo(ctx, p.pool, left)
		}
	}
	taken = d.listen(s, svc)
	for _, p := range gone {
		d.retire(ctx, s, p)
	}
	d.served[s.key] = s
	if len(specs) == 0 {
		delete(d.served, s.key)
	}
	return taken
}

// members are the ready Pods that a Service's port leads to.
func (d *Director) members(s *service, spec corev1.ServicePort) []pool.Member {
	var members []pool.Member
	for _, pod := range d.ready {
		if pod.Namespace != s.namespace || !s.selector.Matches(labels.Set(pod.Labels)) {
			continue
		}
		if m, ok := memberFor(spec, pod); ok {
			members = append(members, m)
		}
	}
	return members
}

// listen opens what should be open for a Service, and then closes what should
// not: an address that goes from one of its ports to another is never closed.
func (d *Director) listen(s *service, svc *corev1.Service) (taken []string) {
	wanted := map[string]bool{}
	for _, number := range slices.Sorted(maps.Keys(s.ports)) {
		for _, address := range addresses(svc, s.ports[number].spec) {
			wanted[address] = true
			if !d.listenAt(address, s, svc, s.ports[number]) {
				taken = append(taken, address)
			}
		}
	}
	for address := range s.open {
		if !wanted[address] {
			d.release(s, address)
		}
	}
	return taken
}

// listenAt opens an address for a port, or has it lead to that port from now
// on, and tells when it is taken and when it is free again.
func (d *Director) listenAt(address string, s *service, svc *corev1.Service, p *port) bool {
	wasOpen, known := s.open[address]
	err := d.hold(s, address, proxy.Listener{
		Name:    s.key + ":" + strconv.Itoa(int(p.spec.Port)),
		Address: address,
		Mode:    p.protocol.mode,
		H2C:     p.protocol.h2c,
		Pool:    p.pool,
	})
	s.open[address] = err == nil
	switch {
	case err != nil && (wasOpen || !known):
		reason, message := explain(address, err)
		d.recorder.Event(svc, corev1.EventTypeWarning, reason, message)
		d.log.Warn("listen for service", "service", s.key, "address", address, "error", err)
	case err == nil && known && !wasOpen:
		d.recorder.Eventf(svc, corev1.EventTypeNormal, "Listening", "%s is free now; the Service is reached there", address)
	}
	return err == nil
}

// hold opens an address for a Service. The proxy would let a second Service
// take it over, so whose it is is known here.
func (d *Director) hold(s *service, address string, l proxy.Listener) error {
	if holder := d.holders[address]; holder != "" && holder != s.key {
		return &heldError{by: holder}
	}
	if err := d.proxy.Listen(l); err != nil {
		return err
	}
	d.holders[address] = s.key
	return nil
}

type heldError struct{ by string }

func (e *heldError) Error() string { return "the port belongs to service " + e.by }

func explain(address string, err error) (reason, message string) {
	const retried = "; the Service is not reached there until it is free"
	var held *heldError
	switch {
	case errors.As(err, &held):
		return "PortInUse", fmt.Sprintf("%s is in use by service %s%s", address, held.by, retried)
	case errors.Is(err, syscall.EADDRINUSE):
		return "PortInUse", fmt.Sprintf("%s is in use by another program%s", address, retried)
	case errors.Is(err, syscall.EACCES):
		return "PortNotAllowed", fmt.Sprintf("the system does not let this user listen on %s", address)
	}
	return "ListenFailed", fmt.Sprintf("cannot listen on %s: %v", address, err)
}

// release stops listening on an address if the Service has it.
func (d *Director) release(s *service, address string) {
	if s.open[address] {
		d.proxy.Close(address)
		delete(d.holders, address)
		d.wakeOthers(s.key)
	}
	delete(s.open, address)
}

// wakeOthers lets Services that wait for a port try at once.
func (d *Director) wakeOthers(key string) {
	for _, s := range d.served {
		for _, open := range s.open {
			if !open && s.key != key {
				d.queue.Add(s.key)
			}
		}
	}
}

// retire ends a port that is gone from its Service. What is in flight goes on
// for as long as a drain would let it.
func (d *Director) retire(ctx context.Context, s *service, p *port) {
	d.retired[p.pool] = s.namespace
	left := p.pool.Replace(nil, pool.Expectation{Reason: "the Service is gone"})
	p.pool.Close()
	for _, uid := range left {
		d.letGo(ctx, p.pool, uid)
	}
	d.parting.Go(func() {
		p.pool.Settled(ctx)
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.retired, p.pool)
	})
}

// publish writes the address of a LoadBalancer into its status, once all of
// its ports are served.
func (d *Director) publish(ctx context.Context, svc *corev1.Service, taken []string) error {
	var want []corev1.LoadBalancerIngress
	if svc.Spec.Type == corev1.ServiceTypeLoadBalancer && len(svc.Spec.Selector) > 0 && !anyOwnPort(svc, taken) {
		mode := corev1.LoadBalancerIPModeProxy
		want = []corev1.LoadBalancerIngress{{IP: hostAddress, IPMode: &mode}}
	}
	if equality.Semantic.DeepEqual(svc.Status.LoadBalancer.Ingress, want) {
		return nil
	}
	svc = svc.DeepCopy()
	svc.Status.LoadBalancer.Ingress = want
	_, err := d.client.CoreV1().Services(svc.Namespace).UpdateStatus(ctx, svc, metav1.UpdateOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("write load balancer address: %w", err)
	}
	return nil
}

func anyOwnPort(svc *corev1.Service, taken []string) bool {
	return slices.ContainsFunc(svc.Spec.Ports, func(p corev1.ServicePort) bool {
		return slices.Contains(taken, net.JoinHostPort(hostAddress, strconv.Itoa(int(p.Port))))
	})
}
