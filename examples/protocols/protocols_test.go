package main_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/orchestrator/skifftest"
)

// place is where clients are: the same Service has other addresses there.
type place struct {
	name           string
	http, tcp, udp string
	run            func(ctx context.Context, script string) (string, error)
}

// Clients of every protocol use the Service, from the host and from a Pod,
// while its Pods are replaced by others again and again. None sees an error.
func TestEveryProtocolThroughRollouts(t *testing.T) {
	t.Parallel()
	i := skifftest.New(t)
	i.Apply(t, "protocols.yaml")
	i.Apply(t, "../tools/tools.yaml")
	i.WaitRollout(t, "protocols")
	i.WaitRollout(t, "tools")
	svc, err := i.Client.CoreV1().Services(skifftest.Namespace).Get(t.Context(), "protocols", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	c := &clients{done: map[string]bool{}}
	defer c.wg.Wait()
	defer cancel()
	for _, p := range []place{host(t, i, svc), pod(t, i)} {
		for _, s := range scripts {
			c.start(ctx, s.name+" "+p.name, func(ctx context.Context) error { return s.try(ctx, p) })
		}
	}
	// The bridge of the instance's network is the host's: its ClusterIP leads
	// through the gateway from here as from a Pod.
	for name, address := range map[string]func(int) string{
		"from the host": func(k int) string { return nodePort(svc, k) },
		"to ClusterIP": func(k int) string {
			return net.JoinHostPort(svc.Spec.ClusterIP, strconv.Itoa(int(svc.Spec.Ports[k].Port)))
		},
	} {
		c.start(ctx, "WebSocket "+name, func(ctx context.Context) error { return webSocket(ctx, address(0)) })
		c.startCalls(ctx, t, name, address(1))
	}

	versions := 1
	for ; versions < 3 || !c.all(); versions++ {
		i.Update(t, "protocols", func(d *appsv1.Deployment) {
			d.Spec.Template.Spec.Containers[0].Env[0].Value = strconv.Itoa(versions + 1)
		})
		i.WaitRollout(t, "protocols")
	}
	cancel()
	c.wg.Wait()
	for _, err := range c.errs {
		t.Error(err)
	}
	t.Logf("%d rollouts", versions-1)
}

func nodePort(svc *corev1.Service, k int) string {
	return fmt.Sprintf("127.0.0.1:%d", svc.Spec.Ports[k].NodePort)
}

// clients do something again and again.
type clients struct {
	wg sync.WaitGroup

	mu   sync.Mutex
	done map[string]bool // who has done it once, from its beginning to its end
	errs []error
}

// start repeats try until ctx ends or it fails. What is under way when ctx
// ends does not count.
func (c *clients) start(ctx context.Context, name string, try func(context.Context) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done[name] = false
	c.wg.Go(func() {
		for ctx.Err() == nil {
			err := try(ctx)
			if ctx.Err() != nil {
				return
			}
			c.mu.Lock()
			c.done[name] = true
			if err != nil {
				c.errs = append(c.errs, fmt.Errorf("%s: %w", name, err))
			}
			c.mu.Unlock()
			if err != nil {
				return
			}
		}
	})
}

func (c *clients) all() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, done := range c.done {
		if !done {
			return false
		}
	}
	return true
}

var errUnexpected = errors.New("unexpected answer")
