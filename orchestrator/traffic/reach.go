package traffic

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/utils/ptr"

	"skiff/orchestrator/resource"
	"skiff/proxy"
	"skiff/proxy/switchboard"
)

// reach is how the host reaches a Service.
type reach struct {
	known    bool     // urls are all there are
	balanced bool     // every port of a LoadBalancer, be it by a stand-in
	partly   bool     // some address is not to be had
	urls     []string // those of a LoadBalancer's own ports come first, its name last
}

// standIns are the ports that are tried, in this order, in place of one that
// the system keeps from users: 8080, 9080, … for 80.
func standIns(port int32, ownElsewhere func(int32) bool) []int32 {
	var numbers []int32
	for number := port + 8000; number < 30000; number += 1000 { // where node ports begin
		if !ownElsewhere(number) {
			numbers = append(numbers, number)
		}
	}
	return numbers
}

// explain says why an address is not listened to, and what to do. instead is
// what stands in for its port.
func explain(address string, instead int32, err error) (reason, message string) {
	const retried = "; requests to that port do not arrive here until it is free"
	var held *switchboard.HeldError
	switch {
	case errors.As(err, &held):
		return "PortInUse", fmt.Sprintf("%s is in use by %s%s", address, Holder(held), retried)
	case errors.Is(err, syscall.EADDRINUSE):
		return "PortInUse", fmt.Sprintf("%s is in use by another program%s", address, retried)
	case errors.Is(err, syscall.EACCES):
		return "PortNotAllowed", notAllowed(address, instead)
	}
	return "ListenFailed", fmt.Sprintf("cannot listen on %s: %v", address, err)
}

// Holder is what has an address: a Service, or a Pod with host ports.
func Holder(held *switchboard.HeldError) string {
	if strings.HasPrefix(held.By, podKey) {
		return held.By
	}
	return "service " + held.By
}

func notAllowed(address string, instead int32) string {
	text := fmt.Sprintf("the system does not let this user listen on %s", address)
	if instead > 0 {
		text += fmt.Sprintf("; port %d leads here instead", instead)
	}
	return text + `. To allow it: sudo sysctl net.ipv4.ip_unprivileged_port_start=80, or: sudo setcap cap_net_bind_service=+ep "$(command -v skiff)" and start skiff again`
}

// Below: mu is held.

// standIn finds stand-ins for the ports of a LoadBalancer that the user may not
// have, and gives up those that are needed no more. It says whether there is
// something new to try.
func (d *Director) standIn(s *service, failed map[string]error) (changed bool) {
	before := s.instead
	s.instead = map[string]int32{}
	if s.object.Spec.Type == corev1.ServiceTypeLoadBalancer {
		for _, p := range s.object.Spec.Ports {
			if !errors.Is(failure(failed, d.atHost(p.Port, p.Protocol)), syscall.EACCES) {
				continue
			}
			name := PortName(p)
			now, tried := before[name]
			if !tried || failure(failed, d.atHost(now, p.Protocol)) != nil {
				all := standIns(p.Port, s.listensAt)
				if following := slices.Index(all, now) + 1; following < len(all) {
					now = all[following]
				}
			}
			if now > 0 {
				s.instead[name] = now
			}
		}
	}
	return !equality.Semantic.DeepEqual(before, s.instead)
}

// listensAt says whether a number on the host is that of one of its ports.
func (s *service) listensAt(number int32) bool {
	return slices.ContainsFunc(s.object.Spec.Ports, func(p corev1.ServicePort) bool { return p.Port == number || p.NodePort == number })
}

// failure is why a port's addresses could not be opened.
func failure(failed map[string]error, addresses []string) error {
	for _, address := range addresses {
		if err := failed[address]; err != nil && !errors.Is(err, switchboard.ErrApart) {
			return err
		}
	}
	return nil
}

func (d *Director) reachOf(s *service) reach {
	r := reach{known: d.named != nil || !d.Names, balanced: s.object.Spec.Type == corev1.ServiceTypeLoadBalancer, partly: waits(s.hosts)}
	var byNode []string
	for _, p := range s.object.Spec.Ports {
		own, node, complete := d.urls(s, p)
		r.urls, byNode = append(r.urls, own...), append(byNode, node...)
		r.balanced = r.balanced && complete
	}
	r.urls = append(r.urls, byNode...)
	if url := d.named[s.object.Namespace+"/"+s.object.Name]; url != "" {
		r.urls = append(r.urls, url)
	}
	return r
}

// urls are where a port is reached on the host: by its own number, or what stands in
// for it, and by its node port. It says whether nothing of the former is missing.
func (d *Director) urls(s *service, p corev1.ServicePort) (own, byNode []string, complete bool) {
	complete = true
	for _, number := range hostNumbers(s.object, p) {
		isOwn := number != p.NodePort
		if instead, moved := s.instead[PortName(p)]; isOwn && moved {
			number = instead
		}
		url := URL(scheme(p, s.protocols[PortName(p)]), "localhost", number)
		switch {
		case failure(s.hosts, d.atHost(number, p.Protocol)) != nil:
			complete = complete && !isOwn
		case isOwn:
			own = append(own, url)
		default:
			byNode = append(byNode, url)
		}
	}
	return own, byNode, complete
}

// urlsOfPort are all of the port of that PortName.
func (d *Director) urlsOfPort(s *service, name string) []string {
	for _, p := range s.object.Spec.Ports {
		if PortName(p) == name {
			own, byNode, _ := d.urls(s, p)
			return append(own, byNode...)
		}
	}
	return nil
}

// URL is that of a port of a host. The port that its scheme stands for is not named.
func URL(scheme, host string, number int32) string {
	url := scheme + "://" + host
	if scheme == "http" && number == 80 || scheme == "https" && number == 443 {
		return url
	}
	return fmt.Sprintf("%s:%d", url, number)
}

// scheme begins the URL of a port.
func scheme(p corev1.ServicePort, carries protocol) string {
	prefix, _, _ := strings.Cut(p.Name, "-")
	switch {
	case carries.mode == proxy.HTTP:
		return "http"
	case carries.mode == proxy.UDP:
		return "udp"
	case strings.EqualFold(ptr.Deref(p.AppProtocol, prefix), "https"):
		return "https"
	}
	return "tcp"
}

// Above: mu is held.

// Named says at which URL each Service, by its namespace/name, is reached by a
// name of its own.
func (d *Director) Named(urls map[string]string) {
	d.mu.Lock()
	before := d.named
	d.named = urls
	d.mu.Unlock()
	if before == nil {
		d.enqueueAll()
	}
	for key := range before {
		if urls[key] == "" {
			d.queue.Add(key)
		}
	}
	for key, url := range urls {
		if before[key] != url {
			d.queue.Add(key)
		}
	}
}

// writeReach writes the address of a LoadBalancer into its status, once all of
// its ports are served, and where any Service is reached into an annotation.
func (d *Director) writeReach(ctx context.Context, svc *corev1.Service, r reach) error {
	services := d.Client.CoreV1().Services(svc.Namespace)
	if urls := strings.Join(r.urls, " "); r.known && svc.Annotations[resource.URLsAnnotation] != urls {
		value := &urls
		if urls == "" {
			value = nil // takes it away
		}
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{resource.URLsAnnotation: value}}})
		if err != nil {
			return fmt.Errorf("write where the service is reached: %w", err)
		}
		if svc, err = services.Patch(ctx, svc.Name, types.MergePatchType, patch, metav1.PatchOptions{}); apierrors.IsNotFound(err) {
			return nil
		} else if err != nil {
			return fmt.Errorf("write where the service is reached: %w", err)
		}
	}
	var want []corev1.LoadBalancerIngress
	if r.balanced {
		mode := corev1.LoadBalancerIPModeProxy
		want = []corev1.LoadBalancerIngress{{IP: d.Loopbacks[0], IPMode: &mode}}
	}
	if equality.Semantic.DeepEqual(svc.Status.LoadBalancer.Ingress, want) {
		return nil
	}
	svc = svc.DeepCopy()
	svc.Status.LoadBalancer.Ingress = want
	if _, err := services.UpdateStatus(ctx, svc, metav1.UpdateOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("write load balancer address: %w", err)
	}
	return nil
}
