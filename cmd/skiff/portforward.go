package main

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/kubectl/pkg/util"
)

func (p *program) portForward() *cobra.Command {
	return spec{
		name:  "port-forward",
		short: "reach ports of a Pod from this machine",
		args:  "TYPE/NAME [LOCAL:]REMOTE…",
		long: `Until Ctrl-C. The local port is that of the Pod or Service unless another one is
given; ":80" takes a free one. During a rollout the connections go on to a new Pod.`,
		examples: examples(
			"skiff port-forward service/web 8080:80",
			"skiff port-forward deployment/db :27017",
			"skiff port-forward web-6f89cd886-x2x7q 8080:http"),
		flags: func(f *flags) {
			f.Strings("address", "", "listen at these `ADDRESSES` (default: localhost, of IPv4 and IPv6)")
			f.Duration("pod-running-timeout", podPatience, "wait this `LONG` for a Pod to run")
		},
		run: p.runPortForward,
	}.command()
}

func (p *program) runPortForward(c *call) error {
	if len(c.args) < 2 {
		return c.usage("TYPE/NAME and list of ports are required for port-forward")
	}
	wanted := c.args[1:]
	c.args = c.args[:1]
	r, err := p.request(c)
	if err != nil {
		return err
	}
	obj, err := r.one()
	if err != nil {
		return err
	}
	pod, err := r.podFor(obj, c.Duration("pod-running-timeout"))
	if err != nil {
		return err
	}
	if pod.Status.Phase != corev1.PodRunning {
		return fmt.Errorf("unable to forward port because pod is not running. Current status=%v", pod.Status.Phase)
	}
	ports, err := forwardedPorts(wanted, obj, pod)
	if err != nil {
		return err
	}
	addresses := c.StringSlice("address")
	if len(addresses) == 0 {
		addresses = []string{"localhost"}
	}
	at, config, err := subresource(r.connection, pod, "portforward", nil)
	if err != nil {
		return err
	}
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return err
	}
	newer, err := portforward.NewSPDYOverWebsocketDialer(at, config)
	if err != nil {
		return err
	}
	older := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, at)
	dialer := portforward.NewFallbackDialer(newer, older, notUpgraded)
	forwarder, err := portforward.NewOnAddresses(dialer, addresses, ports, c.ctx.Done(), make(chan struct{}), p.Out, p.ErrOut)
	if err != nil {
		return err
	}
	return forwarder.ForwardPorts()
}

// forwardedPorts are the pairs of local and remote port as numbers, the remote
// one that of the Pod: those of a Service lead to it, and either may be a name.
func forwardedPorts(wanted []string, obj runtime.Object, pod *corev1.Pod) ([]string, error) {
	var pairs []string
	for _, text := range wanted {
		local, remote, both := strings.Cut(text, ":")
		if !both {
			remote = local
		}
		number, err := strconv.ParseInt(remote, 10, 32)
		port := int32(number)
		svc, isService := obj.(*corev1.Service)
		switch {
		case err == nil:
		case isService:
			port, err = util.LookupServicePortNumberByName(*svc, remote)
		default:
			port, err = util.LookupContainerPortNumberByName(*pod, remote)
		}
		if err != nil {
			return nil, err
		}
		if !both {
			local = strconv.Itoa(int(port))
		}
		if isService {
			if port, err = util.LookupContainerPortNumberByServicePort(*svc, *pod, port); err != nil {
				return nil, err
			}
		}
		pairs = append(pairs, fmt.Sprintf("%s:%d", local, port))
	}
	return pairs, nil
}
