// Package probe asks containers how they are, as the kubelet does: over HTTP,
// TCP and gRPC, or by running a command in them.
package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// userAgent is what servers see, the kubelet's of the version that skiff
// follows.
const userAgent = "kube-probe/1.37"

// Kind is what a probe is for.
type Kind string

// The kinds, as they begin the messages of events.
const (
	Startup   Kind = "Startup"
	Readiness Kind = "Readiness"
	Liveness  Kind = "Liveness"
)

// Target is one probe of one attempt at running a container.
type Target struct {
	Kind        Kind
	Probe       *corev1.Probe          // with its defaults set
	Ports       []corev1.ContainerPort // the container's, for ports given by name
	Host        string                 // the Pod's IP
	ContainerID string                 // where a command runs
	StartedAt   time.Time              // of the container
	Healthy     bool                   // what earlier tries have shown, if skiff was restarted since
}

// Result is what one try has shown.
type Result string

// The results, in the kubelet's words. A warning counts as a success; an
// unknown result counts as nothing.
const (
	Success Result = "success"
	Warning Result = "warning"
	Failure Result = "failure"
	Unknown Result = "unknown"
)

// Dial connects to a Pod's address.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Exec runs a command in a container.
type Exec func(ctx context.Context, id string, cmd []string) (output []byte, exitCode int, err error)

// Prober makes the tries of any number of probes.
type Prober struct {
	dial      Dial
	exec      Exec
	transport *http.Transport
}

// New makes a prober that reaches Pods and their containers by these two.
func New(dial Dial, exec Exec) *Prober {
	return &Prober{
		dial: dial,
		exec: exec,
		transport: &http.Transport{
			DialContext: dial,
			// Pods have certificates of their own making; a probe asks whether
			// they answer, not who they are.
			TLSClientConfig:    &tls.Config{InsecureSkipVerify: true},
			ForceAttemptHTTP2:  true,
			DisableKeepAlives:  true, // each try shows that connections are accepted
			DisableCompression: true,
		},
	}
}

// Try makes one try. The text is what the kubelet would put behind
// "Readiness probe failed: ".
func (p *Prober) Try(ctx context.Context, t Target) (Result, string) {
	timeout := seconds(t.Probe.TimeoutSeconds)
	result, text, err := p.try(ctx, t, timeout)
	if err != nil {
		return Unknown, err.Error()
	}
	return result, text
}

func (p *Prober) try(ctx context.Context, t Target, timeout time.Duration) (Result, string, error) {
	switch h := t.Probe.ProbeHandler; {
	case h.Exec != nil:
		return p.tryExec(ctx, t.ContainerID, h.Exec.Command, timeout)
	case h.HTTPGet != nil:
		port, err := resolve(h.HTTPGet.Port, t.Ports)
		if err != nil {
			return Unknown, "", err
		}
		return p.tryHTTP(ctx, h.HTTPGet, net.JoinHostPort(or(h.HTTPGet.Host, t.Host), port), timeout)
	case h.TCPSocket != nil:
		port, err := resolve(h.TCPSocket.Port, t.Ports)
		if err != nil {
			return Unknown, "", err
		}
		result, text := p.tryTCP(ctx, net.JoinHostPort(or(h.TCPSocket.Host, t.Host), port), timeout)
		return result, text, nil
	case h.GRPC != nil:
		service := ""
		if h.GRPC.Service != nil {
			service = *h.GRPC.Service
		}
		result, text := p.tryGRPC(ctx, net.JoinHostPort(t.Host, strconv.Itoa(int(h.GRPC.Port))), service, timeout)
		return result, text, nil
	}
	return Unknown, "", errors.New("the probe has no handler")
}

// resolve finds the number of a port given by number or name.
func resolve(port intstr.IntOrString, ports []corev1.ContainerPort) (string, error) {
	number := port.IntValue()
	if port.Type == intstr.String {
		for _, p := range ports {
			if p.Name == port.StrVal {
				number = int(p.ContainerPort)
			}
		}
	}
	if number < 1 || number > 65535 {
		return "", fmt.Errorf("the container has no port %q", port.String())
	}
	return strconv.Itoa(number), nil
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// seconds reads a probe's setting, of which the API server lets none be zero.
func seconds(n int32) time.Duration { return time.Duration(max(1, n)) * time.Second }
