package traffic

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"skiff/orchestrator/porttest"
)

// A Service made before its Pods and one made after serve alike, by port name
// and number, and Add is done when it returns.
func TestPodsAndServicesInAnyOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	target, before, after := porttest.Free(t), porttest.Free(t), porttest.Free(t)
	c := client(t)
	w.apply(newService(before, intstr.FromString("www")))
	eventuallySays(t, c, before, "no Pod matches the selector app=web")

	a := w.app("web-a", "v1", target)
	w.add(a)
	if code, body, err := ask(c, before, "/"); body != "v1" {
		t.Errorf("at once after Add: %d %s, %v", code, body, err)
	}
	later := newService(after, intstr.FromInt(target))
	later.Name = "later"
	w.apply(later)
	eventuallySays(t, c, after, "v1")

	if err := w.Remove(t.Context(), a.UID); err != nil {
		t.Fatal(err)
	}
	if n := w.pool("web", "80/TCP").Snapshot(); len(n.Backends) != 0 {
		t.Errorf("after Remove: %+v", n.Backends)
	}
	w.Remove(t.Context(), "nobody")
	w.add(a) // ready again
	if _, body, err := ask(c, before, "/"); body != "v1" {
		t.Errorf("after it is back: %s, %v", body, err)
	}

	if err := w.client.CoreV1().Services("default").Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the deleted Service's port is closed", func() bool {
		_, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", before))
		return errors.Is(err, syscall.ECONNREFUSED)
	})
	if _, body, err := ask(c, after, "/"); body != "v1" {
		t.Errorf("the other Service: %s, %v", body, err)
	}
}

// Recreate with one replica: between the old Pod and the new one there is
// none, and clients see a pause.
func TestRecreateIsAPause(t *testing.T) {
	t.Parallel()
	target, port := porttest.Free(t), porttest.Free(t)
	w := newWorld(t, newService(port, intstr.FromInt(target)), newDeployment(1))
	c := client(t)
	now := w.app("web-0", "v0", target)
	w.add(now)
	eventuallySays(t, c, port, "v0")

	var requests atomic.Int64
	var clients sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				res, err := c.Post(fmt.Sprintf("http://127.0.0.1:%d/", port), "text/plain", strings.NewReader("x"))
				if err != nil {
					t.Error(err)
					return
				}
				body, err := io.ReadAll(res.Body)
				res.Body.Close()
				if err != nil || res.StatusCode != 200 {
					t.Errorf("%s %s, %v", res.Status, body, err)
					return
				}
				requests.Add(1)
			}
		})
	}
	for i := 1; i <= 5; i++ {
		seen := requests.Load()
		eventually(t, "requests flow", func() bool { return requests.Load() > seen+50 })
		w.drainAndStop(now)
		eventually(t, "requests are held", func() bool { return w.waiting() == 4 })
		now = w.app(fmt.Sprint("web-", i), fmt.Sprint("v", i), target)
		w.add(now)
		if _, body, err := ask(c, port, "/"); body != fmt.Sprint("v", i) {
			t.Errorf("%s, %v", body, err)
		}
	}
	close(stop)
	clients.Wait()

	zero := newDeployment(0)
	if _, err := w.client.AppsV1().Deployments("default").Update(t.Context(), zero, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.drainAndStop(now)
	eventuallySays(t, c, port, "503 service unavailable: deployment web is scaled to zero")
}

// Skiff goes down: while a Pod is there it answers, and then nobody is made to wait
// for another.
func TestNobodyWaitsForAHaltedSkiff(t *testing.T) {
	t.Parallel()
	target, port, hostPort := porttest.Free(t), porttest.Free(t), porttest.Free(t)
	w := newWorld(t, newService(port, intstr.FromInt(target)), newDeployment(1))
	c := client(t)
	app := w.app("web-0", "v0", target)
	w.onHost(app, hostPort)
	w.add(app)
	eventuallySays(t, c, port, "v0")
	eventuallySays(t, c, hostPort, "v0")
	w.Halt()
	if _, body, err := ask(c, port, "/"); body != "v0" {
		t.Errorf("the Pod that is still there says %q, %v", body, err)
	}
	if err := w.Remove(t.Context(), app.UID); err != nil {
		t.Fatal(err)
	}
	for _, port := range []int{port, hostPort} {
		if _, body, err := ask(c, port, "/"); body != "503 service unavailable: skiff goes down\n" {
			t.Errorf("without the Pod: %q, %v", body, err)
		}
	}
}

// A change of the selector moves every request at once, both ways, and
// finishes those in flight.
func TestBlueGreen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	target, port := porttest.Free(t), porttest.Free(t)
	blue, green := w.app("blue", "blue", target), w.app("green", "green", target)
	w.add(blue, green)
	svc := newService(port, intstr.FromInt(target))
	svc.Spec.Selector = map[string]string{"app": "web", "version": "blue"}
	w.apply(svc)
	c := client(t)
	eventuallySays(t, c, port, "blue")
	for _, side := range []string{"green", "blue"} {
		slow := make(chan string, 1)
		go func() {
			_, body, err := ask(c, port, "/slow")
			slow <- fmt.Sprint(body, err)
		}()
		other := map[string]string{"green": "blue", "blue": "green"}[side]
		eventually(t, "the slow request is in flight", func() bool {
			return w.pool("web", "80/TCP").InFlight(other) == 1
		})
		svc = svc.DeepCopy()
		svc.Spec.Selector["version"] = side
		w.apply(svc)
		eventuallySays(t, c, port, side)
		for range 20 {
			if _, body, err := ask(c, port, "/"); body != side {
				t.Fatalf("after the change to %s: %s, %v", side, body, err)
			}
		}
		if got := <-slow; got != other+"<nil>" {
			t.Errorf("the request in flight: %s", got)
		}
	}
}

// Labels that change on a running Pod count as well.
func TestRelabelledPodMoves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	target, port := porttest.Free(t), porttest.Free(t)
	a := w.app("web-a", "v1", target)
	w.add(a)
	w.apply(newService(port, intstr.FromInt(target)))
	c := client(t)
	eventuallySays(t, c, port, "v1")
	changed := a.DeepCopy()
	changed.Labels = map[string]string{"app": "quarantine"}
	if _, err := w.client.CoreV1().Pods("default").Update(t.Context(), changed, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventuallySays(t, c, port, "no Pod matches")
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	target := porttest.Free(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := taken.Addr().(*net.TCPAddr).Port
	svc := newService(porttest.Free(t), intstr.FromInt(target))
	svc.Spec.Type = corev1.ServiceTypeLoadBalancer
	svc.Spec.Ports[0].Port = int32(port)
	w.apply(svc)
	w.add(w.app("web-a", "v1", target))
	want := fmt.Sprintf("Warning PortInUse 127.0.0.1:%d is in use by another program; requests to that port do not arrive here until it is free"+
		"; meanwhile the Service is reached at http://localhost:%d", port, svc.Spec.Ports[0].NodePort)
	if got := <-w.events.Events; got != want {
		t.Errorf("event %q, want %q", got, want)
	}
	c := client(t)
	eventuallySays(t, c, int(svc.Spec.Ports[0].NodePort), "v1") // the other one works
	ingress := func() []corev1.LoadBalancerIngress {
		got, err := w.client.CoreV1().Services("default").Get(t.Context(), "web", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return got.Status.LoadBalancer.Ingress
	}
	if got := ingress(); got != nil {
		t.Errorf("status with the port in use: %v", got)
	}
	taken.Close()
	eventuallySays(t, c, port, "v1")
	eventually(t, "the status has the address", func() bool { return len(ingress()) == 1 && ingress()[0].IP == "127.0.0.1" })
	if got := <-w.events.Events; !strings.HasPrefix(got, "Normal Listening") {
		t.Errorf("event %q", got)
	}
	svc, _ = w.client.CoreV1().Services("default").Get(t.Context(), "web", metav1.GetOptions{})
	svc.Spec.Type = corev1.ServiceTypeClusterIP
	w.apply(svc)
	eventually(t, "the status is cleared", func() bool { return ingress() == nil })
}

// Two Services cannot have one port, and the second gets it when the first goes.
func TestPortOfAnotherService(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	target, port := porttest.Free(t), porttest.Free(t)
	w.add(w.app("web-a", "v1", target))
	w.apply(newService(port, intstr.FromInt(target)))
	c := client(t)
	eventuallySays(t, c, port, "v1")
	second := newService(port, intstr.FromInt(target))
	second.Name, second.Spec.Selector = "second", map[string]string{"app": "none"}
	w.apply(second)
	if got := <-w.events.Events; !strings.Contains(got, "in use by service default/web") {
		t.Errorf("event %q", got)
	}
	if _, body, err := ask(c, port, "/"); body != "v1" {
		t.Errorf("the first: %s, %v", body, err)
	}
	if err := w.client.CoreV1().Services("default").Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventuallySays(t, c, port, "no Pod matches the selector app=none")
}

// What goes through a Service that was deleted meanwhile is drained as well.
func TestDrainCoversDeletedServices(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	target, port := porttest.Free(t), porttest.Free(t)
	a := w.app("web-a", "v1", target)
	w.add(a)
	w.apply(newService(port, intstr.FromInt(target)))
	c := client(t)
	eventuallySays(t, c, port, "v1")
	p := w.pool("web", "80/TCP")
	eventually(t, "what was asked before is over", func() bool { return p.InFlight(string(a.UID)) == 0 })
	slow := make(chan string, 1)
	go func() {
		_, body, err := ask(c, port, "/slow")
		slow <- fmt.Sprint(body, err)
	}()
	eventually(t, "the slow request is in flight", func() bool { return p.InFlight(string(a.UID)) == 1 })
	if err := w.client.CoreV1().Services("default").Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the Service is gone", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.served) == 0
	})
	w.drainAndStop(a)
	if got := <-slow; got != "v1<nil>" {
		t.Errorf("the request in flight: %s", got)
	}
}
