package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"skiff/runtime/container"
)

// hook is where a lifecycle hook runs.
type hook struct {
	pod       *corev1.Pod
	container *corev1.Container
	id        string
	host      netip.Addr
}

// hookClient reaches Pods for httpGet hooks. What certificate a Pod has is its
// own affair.
func hookClient(dial func(ctx context.Context, network, address string) (net.Conn, error)) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext:       dial,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		DisableKeepAlives: true,
	}}
}

// postStart runs the hook that belongs to a container's start. If it fails, the
// container is restarted.
func (p *pod) postStart(u *unit) task {
	h := hook{pod: p.s.pod, container: p.s.spec(u.name), id: u.cur.ID, host: p.s.address}
	return func(ctx context.Context) (func(), error) {
		err := p.runHook(ctx, h, h.container.Lifecycle.PostStart)
		if ctx.Err() != nil {
			return nil, err
		}
		if err != nil {
			p.events.warn(h.pod, u.name, reasonPostStartFailed, "PostStartHook failed: %v", err)
		}
		return func() {
			if u.cur.ID != h.id || !u.running() {
				return
			}
			if err != nil {
				u.kill = &killing{message: reasonPostStartFailed, grace: time.Duration(grace(h.pod)) * time.Second}
				return
			}
			u.hooked = true
		}, nil
	}
}

// runPreStop runs the hook that belongs to a container's end, if it has one, at
// most until the grace period is over. It cannot keep the container alive.
func (p *pod) runPreStop(ctx context.Context, h hook, deadline time.Time) {
	if h.container.Lifecycle == nil || h.container.Lifecycle.PreStop == nil {
		return
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	if err := p.runHook(ctx, h, h.container.Lifecycle.PreStop); err != nil {
		p.events.warn(h.pod, h.container.Name, reasonPreStopFailed, "PreStopHook failed: %v", err)
	}
}

func (p *pod) runHook(ctx context.Context, h hook, l *corev1.LifecycleHandler) error {
	switch {
	case l.Exec != nil:
		output, code, err := p.Engine.Exec(ctx, h.id, l.Exec.Command)
		switch {
		case errors.Is(err, container.ErrNotFound):
			return errors.New("the container is gone")
		case err != nil:
			return err
		case code != 0:
			return fmt.Errorf("command %q exited with %d: %s", strings.Join(l.Exec.Command, " "), code, output)
		}
		return nil
	case l.HTTPGet != nil:
		return p.getHook(ctx, h, l.HTTPGet)
	case l.Sleep != nil:
		if !pause(ctx, time.Duration(l.Sleep.Seconds)*time.Second) {
			return ctx.Err()
		}
		return nil
	}
	return errors.New("invalid handler: only exec, httpGet and sleep can be hooks")
}

// getHook is content with any answer, as the kubelet is.
func (p *pod) getHook(ctx context.Context, h hook, get *corev1.HTTPGetAction) error {
	port, err := portNumber(get.Port, h.container.Ports)
	if err != nil {
		return err
	}
	host := get.Host
	if host == "" {
		host = h.host.String()
	}
	path, err := url.Parse("/" + strings.TrimPrefix(get.Path, "/"))
	if err != nil {
		return fmt.Errorf("parse path of hook: %w", err)
	}
	path.Scheme = "http"
	if get.Scheme == corev1.URISchemeHTTPS {
		path.Scheme = "https"
	}
	path.Host = net.JoinHostPort(host, strconv.Itoa(port))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, path.String(), nil)
	if err != nil {
		return fmt.Errorf("make request of hook: %w", err)
	}
	for _, header := range get.HTTPHeaders {
		req.Header.Add(header.Name, header.Value)
		if http.CanonicalHeaderKey(header.Name) == "Host" {
			req.Host = header.Value
		}
	}
	resp, err := p.hooks.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 10<<10))
	return err
}

func portNumber(port intstr.IntOrString, ports []corev1.ContainerPort) (int, error) {
	if port.Type == intstr.Int {
		return int(port.IntVal), nil
	}
	for _, c := range ports {
		if c.Name == port.StrVal {
			return int(c.ContainerPort), nil
		}
	}
	if n, err := strconv.Atoi(port.StrVal); err == nil {
		return n, nil
	}
	return 0, fmt.Errorf("the container has no port %q", port.StrVal)
}
