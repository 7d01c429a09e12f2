package traffic

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/record"

	"skiff/orchestrator/informer"
	"skiff/proxy"
	"skiff/proxy/pool"
	"skiff/proxy/switchboard"
)

// world is a Director with a real proxy, over an API in memory.
type world struct {
	*Director
	board  *switchboard.Board
	t      *testing.T
	client *fake.Clientset
	events *record.FakeRecorder
}

func newWorld(t *testing.T, objects ...runtime.Object) *world {
	t.Helper()
	return newWorldWith(t, nil, objects...)
}

func newWorldWith(t *testing.T, inside Inside, objects ...runtime.Object) *world {
	t.Helper()
	return newWorldOf(t, Options{Inside: inside, Log: slog.New(slog.DiscardHandler)}, objects...)
}

// newWorldOf fills in what of the options is the world's.
func newWorldOf(t *testing.T, o Options, objects ...runtime.Object) *world {
	t.Helper()
	return newWorldOver(t, func(p *proxy.Proxy) switchboard.Proxy { return p }, o, objects...)
}

// newWorldOver has a system between the proxy and who drives it.
func newWorldOver(t *testing.T, system func(*proxy.Proxy) switchboard.Proxy, o Options, objects ...runtime.Object) *world {
	t.Helper()
	w := &world{t: t, client: fake.NewClientset(objects...), events: record.NewFakeRecorder(100)}
	w.client.PrependReactor("update", "services", w.statusOnly)
	factory := informer.NewFactory(w.client)
	p := proxy.New(proxy.Options{Hold: time.Minute, Linger: time.Second})
	w.board = switchboard.New(system(p), slog.New(slog.DiscardHandler))
	o.Client, o.Factory, o.Host, o.Recorder = w.client, factory, w.board, w.events
	if o.Loopbacks, _ = proxy.Loopbacks(t.Context()); len(o.Loopbacks) == 1 {
		t.Log("this machine has no ::1")
	}
	w.Director = New(o)
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { p.Run(ctx) })
	running.Go(func() { w.board.Run(ctx) })
	running.Go(func() { w.Run(ctx) })
	factory.Start(ctx.Done())
	t.Cleanup(func() {
		stop()
		running.Wait()
		factory.Wait()
	})
	return w
}

// statusOnly is how an API writes a status. The fake one would put back with it
// whatever else a writer has not seen yet that it changed.
func (w *world) statusOnly(action clienttesting.Action) (handled bool, now runtime.Object, err error) {
	write := action.(clienttesting.UpdateAction)
	if write.GetSubresource() != "status" {
		return false, nil, nil
	}
	written := write.GetObject().(*corev1.Service)
	found, err := w.client.Tracker().Get(write.GetResource(), written.Namespace, written.Name)
	if err != nil {
		return true, nil, err
	}
	svc := found.(*corev1.Service).DeepCopy()
	svc.Status = written.Status
	return true, svc, w.client.Tracker().Update(write.GetResource(), svc, svc.Namespace)
}

// app is a Pod with a server behind it. All Pods of a test listen on one port,
// each on an address of its own, as on a network of containers.
type app struct {
	*corev1.Pod
	server *http.Server
}

var addresses127 atomic.Int32

func (w *world) app(name, version string, port int) *app {
	w.t.Helper()
	n := addresses127.Add(1)
	ip := fmt.Sprintf("127.%d.%d.%d", 1+n/65025, 1+n/255%255, 1+n%255)
	listener, err := net.Listen("tcp", net.JoinHostPort(ip, strconv.Itoa(port)))
	if err != nil {
		w.t.Fatal(err)
	}
	a := &app{
		Pod: newPod(name, phase(corev1.PodRunning)),
		server: &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			switch {
			case r.URL.Path == "/slow":
				time.Sleep(300 * time.Millisecond)
			case r.Method == http.MethodPost:
				time.Sleep(3 * time.Millisecond)
			}
			fmt.Fprint(rw, version)
		})},
	}
	a.Status.PodIP = ip
	a.Labels = map[string]string{"app": "web", "version": version}
	a.Spec.Containers = []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "www", ContainerPort: int32(port)}}}}
	go a.server.Serve(listener)
	w.t.Cleanup(func() { a.server.Close() })
	if _, err := w.client.CoreV1().Pods("default").Create(w.t.Context(), a.Pod, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (w *world) add(apps ...*app) {
	w.t.Helper()
	for _, a := range apps {
		if err := w.Add(w.t.Context(), a.Pod); err != nil {
			w.t.Fatal(err)
		}
	}
}

// drainAndStop is how a Pod goes; the server drops everything at its end.
func (w *world) drainAndStop(a *app) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	if err := w.Drain(ctx, a.Pod, time.Second); err != nil {
		w.t.Error(err)
	}
	a.server.Close()
	w.client.CoreV1().Pods("default").Delete(ctx, a.Name, metav1.DeleteOptions{})
}

func newService(nodePort int, target intstr.IntOrString) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default"},
		Spec: corev1.ServiceSpec{
			Type:     corev1.ServiceTypeNodePort,
			Selector: web,
			Ports:    []corev1.ServicePort{{Name: "http", Port: 80, NodePort: int32(nodePort), TargetPort: target}},
		},
	}
}

func (w *world) apply(svc *corev1.Service) {
	w.t.Helper()
	services := w.client.CoreV1().Services(svc.Namespace)
	if _, err := services.Update(w.t.Context(), svc, metav1.UpdateOptions{}); err == nil {
		return
	}
	if _, err := services.Create(w.t.Context(), svc, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

func ask(client *http.Client, port int, path string) (int, string, error) {
	res, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d%s", port, path))
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res.StatusCode, string(body), err
}

func client(t *testing.T) *http.Client {
	c := &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-deadline:
			t.Fatalf("did not come about: %s", what)
		case <-tick.C:
		}
	}
}

func eventuallySays(t *testing.T, c *http.Client, port int, want string) {
	t.Helper()
	eventually(t, "the answer "+want, func() bool {
		_, body, err := ask(c, port, "/")
		return err == nil && strings.Contains(body, want)
	})
}

func (w *world) waiting() int {
	return w.pool("web", "80/TCP").Snapshot().Waiting
}

// pool is what a port of a Service leads to on the host, nil while it leads to
// nothing.
func (w *world) pool(service, port string) *pool.Pool { return w.board.Pool("default/"+service, port) }
