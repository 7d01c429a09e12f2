package traffic

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"skiff/orchestrator/porttest"
)

// A node port that goes from one port of a Service to another stays open all
// the while: a connection that a client keeps goes on.
func TestNodePortsMoveWithinAService(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	target, first, second := porttest.Free(t), porttest.Free(t), porttest.Free(t)
	w.add(w.app("web-a", "v1", target))
	svc := newService(first, intstr.FromInt(target))
	svc.Spec.Ports = append(svc.Spec.Ports, *svc.Spec.Ports[0].DeepCopy())
	svc.Spec.Ports[1].Port, svc.Spec.Ports[1].NodePort, svc.Spec.Ports[1].Name = 81, int32(second), "http-b"
	w.apply(svc)
	eventuallySays(t, client(t), first, "v1")
	eventuallySays(t, client(t), second, "v1")
	kept := keep(t, first)
	kept.ask(t)

	changed := svc.DeepCopy()
	changed.Spec.Ports[0].NodePort, changed.Spec.Ports[1].NodePort = int32(second), int32(first)
	w.change(changed, func(p corev1.ServicePort) bool { return p.NodePort == int32(second) })
	kept.ask(t)
	for _, port := range []int{first, second} {
		if _, body, err := ask(client(t), port, "/"); body != "v1" {
			t.Errorf("after the ports were exchanged: %s, %v", body, err)
		}
	}
	changed = changed.DeepCopy()
	changed.Spec.Ports = changed.Spec.Ports[1:]
	changed.Spec.Ports[0].Port = 82
	w.change(changed, func(p corev1.ServicePort) bool { return p.NodePort == int32(first) })
	kept.ask(t)
	if _, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", second)); err == nil {
		t.Error("a node port that the Service gave up is still open")
	}
}

// change applies svc and waits until the Director serves its port as wanted.
func (w *world) change(svc *corev1.Service, done func(corev1.ServicePort) bool) {
	w.t.Helper()
	w.apply(svc)
	eventually(w.t, "the Service is served as it is now", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return done(w.served["default/web"].object.Spec.Ports[0])
	})
}

// kept is a client's connection that it uses again and again.
type kept struct {
	conn net.Conn
	r    *bufio.Reader
}

func keep(t *testing.T, port int) *kept {
	t.Helper()
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &kept{conn, bufio.NewReader(conn)}
}

func (k *kept) ask(t *testing.T) {
	t.Helper()
	fmt.Fprint(k.conn, "GET / HTTP/1.1\r\nHost: web\r\n\r\n")
	res, err := http.ReadResponse(k.r, nil)
	if err != nil {
		t.Fatalf("ask on a connection that was kept: %v", err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); string(body) != "v1" || err != nil {
		t.Fatalf("ask on a connection that was kept: %s, %v", body, err)
	}
}

// A selector that leads from a Pod that is ready to one that is about to be is
// a pause: at no moment is the pool empty without hope.
func TestSelectorChangeHolds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := newPod("blue", phase(corev1.PodRunning)), newPod("green", phase(corev1.PodPending))
	blue.Labels, green.Labels = map[string]string{"color": "blue"}, map[string]string{"color": "green"}
	blue.Status.PodIP = "127.0.0.1"
	w.add(&app{Pod: blue})
	for _, pod := range []*corev1.Pod{blue, green} {
		if _, err := w.client.CoreV1().Pods("default").Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the Pod is known", func() bool {
			_, err := w.pods.Pods("default").Get(pod.Name)
			return err == nil
		})
	}
	svc := newService(porttest.Free(t), intstr.FromInt(80))
	svc.ObjectMeta = metav1.ObjectMeta{Name: "colors", Namespace: "default"}
	point := func(color string) {
		svc = svc.DeepCopy()
		svc.Spec.Selector = map[string]string{"color": color}
		if _, err := w.update(t.Context(), svc); err != nil {
			t.Error(err)
		}
	}
	point("blue")
	pool := w.pool("colors", "80/TCP")

	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for ctx.Err() == nil {
				claim, err := pool.Claim(ctx, nil)
				if err == nil {
					claim.Release()
				} else if ctx.Err() == nil {
					t.Errorf("a request was not held: %v", err)
					return
				}
			}
		})
	}
	for range 300 {
		point("green")
		point("blue")
	}
	stop()
	clients.Wait()
}
