package traffic

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/tools/cache"

	"skiff/orchestrator/resource"
	"skiff/proxy/pool"
	"skiff/proxy/switchboard"
)

// podKey begins what stands for a Pod with host ports among the Services.
const podKey = "pod "

// hostPorts are the ports of the host that lead to one Pod.
type hostPorts struct {
	pod   *corev1.Pod
	hosts map[string]error // address → why it is not listened to; nil: it is
}

// claimsPorts says whether ports of the host are to lead to a Pod. A Pod on the
// host's network is there by itself.
func claimsPorts(pod *corev1.Pod) bool {
	return !pod.Spec.HostNetwork && len(claimedPorts(&pod.Spec)) > 0
}

func claimedPorts(spec *corev1.PodSpec) []corev1.ContainerPort {
	var claimed []corev1.ContainerPort
	for _, c := range resource.Lasting(spec) {
		for _, p := range c.Ports {
			if p.HostPort > 0 {
				claimed = append(claimed, p)
			}
		}
	}
	return claimed
}

// syncPod brings the host's front in line with the host ports of one Pod.
func (d *Director) syncPod(ctx context.Context, key string) error {
	namespace, name, err := cache.SplitMetaNamespaceKey(strings.TrimPrefix(key, podKey))
	if err != nil {
		return nil
	}
	pod, err := d.pods.Pods(namespace).Get(name)
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("get pod: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil || resource.IsFinished(pod) || pod.Spec.NodeName == "" {
		d.forgetPod(ctx, key)
		return nil
	}
	if d.showPod(ctx, pod) {
		return nil
	}
	return errPortTaken
}

// Below: mu is held.

// showPod opens the ports of the host that a Pod claims. They lead to it while
// it is ready. It says whether all are open.
func (d *Director) showPod(ctx context.Context, pod *corev1.Pod) (open bool) {
	key := podKey + pod.Namespace + "/" + pod.Name
	h := d.claims[key]
	if h == nil {
		h = &hostPorts{hosts: map[string]error{}}
		d.claims[key] = h
	}
	h.pod = pod
	s := switchboard.Service{Name: key, Ports: d.podPorts(pod), Expected: d.expectPod(pod)}
	failed := d.Host.Set(ctx, s)
	before := h.hosts
	h.hosts = map[string]error{}
	for _, p := range s.Ports {
		for _, address := range p.Addresses {
			err := failed[address]
			h.hosts[address] = err
			if itsOwn(err) && !itsOwn(before[address]) {
				reason, message := explain(address, 0, err)
				d.Recorder.Event(pod, corev1.EventTypeWarning, reason, message)
				d.Log.Warn("listen for pod", "pod", key, "address", address, "error", err)
			}
		}
	}
	return len(failed) == 0
}

// podPorts are what is forwarded to one Pod alone.
func (d *Director) podPorts(pod *corev1.Pod) []switchboard.Port {
	var ports []switchboard.Port
	for _, claimed := range claimedPorts(&pod.Spec) {
		spec := corev1.ServicePort{Name: claimed.Name, Protocol: claimed.Protocol, Port: claimed.HostPort, TargetPort: intstr.FromInt32(claimed.ContainerPort)}
		carries := protocolOf(spec, tcp, []*corev1.PodSpec{&pod.Spec})
		p := switchboard.Port{
			Name: claimed.HostIP + " " + PortName(spec), Mode: carries.mode, H2C: carries.h2c,
			Addresses: d.claimedAddresses(claimed),
		}
		if ready := d.ready[pod.UID]; ready != nil {
			p.Members = []switchboard.Member{podBackend(&corev1.Service{}, ready).member(claimed.ContainerPort)}
		}
		ports = append(ports, p)
	}
	return ports
}

// claimedAddresses are those of the loopback unless the Pod names one: that
// others reach this machine is nothing that a manifest does by leaving it open.
func (d *Director) claimedAddresses(p corev1.ContainerPort) []string {
	if ip, err := netip.ParseAddr(p.HostIP); err == nil && !ip.IsUnspecified() {
		return []string{at(net.JoinHostPort(p.HostIP, strconv.Itoa(int(p.HostPort))), p.Protocol)}
	}
	return d.atHost(p.HostPort, p.Protocol)
}

func (d *Director) expectPod(pod *corev1.Pod) pool.Expectation {
	if d.halted {
		return pool.Expectation{Reason: whyHalted}
	}
	if resource.IsActive(pod) && stuck(pod) == "" {
		return pool.Expectation{Coming: true, Reason: fmt.Sprintf("pod %s is %s", pod.Name, stage(pod))}
	}
	return pool.Expectation{Reason: cmp.Or(whyStuck(pod), whyOver(pod))}
}

// unready tells what is to be expected of the ports of a Pod that is no longer
// ready, before nothing is behind them.
func (d *Director) unready(uid types.UID) {
	for key, h := range d.claims {
		if h.pod.UID != uid {
			continue
		}
		pod := h.pod
		if now, err := d.pods.Pods(pod.Namespace).Get(pod.Name); err == nil && now.UID == uid {
			pod = now
		}
		d.Host.Expect(key, d.expectPod(pod))
	}
}

func (d *Director) forgetPod(ctx context.Context, key string) {
	if d.claims[key] == nil {
		return
	}
	delete(d.claims, key)
	d.Host.Set(ctx, switchboard.Service{Name: key})
	d.wakeOthers(key)
}
