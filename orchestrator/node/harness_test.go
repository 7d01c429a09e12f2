package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientfake "k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"skiff/orchestrator/informer"
	"skiff/runtime/container"
	"skiff/runtime/fake"
)

// world is an API, an engine and the traffic around a worker, in virtual time.
type world struct {
	t       *testing.T
	journal *journal
	client  *clientfake.Clientset
	engine  *writtenEngine
	traffic *road
	dir     string

	capacity corev1.ResourceList // of the node; empty: the machine's
	logins   Logins              // the user's own

	worker *Worker
	end    func()
}

func newWorld(t *testing.T) *world {
	j := &journal{}
	w := &world{
		t:       t,
		journal: j,
		client:  clientfake.NewClientset(),
		engine:  &writtenEngine{Engine: fake.New(), journal: j},
		traffic: &road{journal: j, in: map[types.UID]bool{}},
		dir:     t.TempDir(),
	}
	w.client.PrependReactor("create", "pods", w.bind)
	w.client.PrependReactor("delete", "pods", w.deletePod)
	w.client.PrependReactor("patch", "pods", func(a clienttesting.Action) (bool, runtime.Object, error) {
		patch := string(a.(clienttesting.PatchAction).GetPatch())
		if strings.Contains(patch, `"status":"True","type":"Ready"`) {
			j.add("write ready")
		} else if strings.Contains(patch, `"status":"False","type":"Ready"`) {
			j.add("write unready")
		} else {
			j.add("write")
		}
		return false, nil, nil
	})
	return w
}

var pods = corev1.SchemeGroupVersion.WithResource("pods")

// bind does what the API server does with a binding.
func (w *world) bind(a clienttesting.Action) (bool, runtime.Object, error) {
	if a.GetSubresource() != "binding" {
		return false, nil, nil
	}
	b := a.(clienttesting.CreateAction).GetObject().(*corev1.Binding)
	obj, err := w.client.Tracker().Get(pods, a.GetNamespace(), b.Name)
	if err != nil {
		return true, nil, err
	}
	pod := obj.(*corev1.Pod).DeepCopy()
	pod.Spec.NodeName = b.Target.Name
	return true, b, w.client.Tracker().Update(pods, pod, pod.Namespace)
}

// deletePod does what the API server does with a deletion.
func (w *world) deletePod(a clienttesting.Action) (bool, runtime.Object, error) {
	d := a.(clienttesting.DeleteActionImpl)
	obj, err := w.client.Tracker().Get(pods, d.Namespace, d.Name)
	if err != nil {
		return true, nil, err
	}
	pod := obj.(*corev1.Pod).DeepCopy()
	if pre := d.DeleteOptions.Preconditions; pre != nil && pre.UID != nil && *pre.UID != pod.UID {
		return true, nil, apierrors.NewConflict(pods.GroupResource(), d.Name, fmt.Errorf("the UID is %s", pod.UID))
	}
	period := grace(pod)
	if d.DeleteOptions.GracePeriodSeconds != nil {
		period = *d.DeleteOptions.GracePeriodSeconds
	}
	w.journal.add("delete object, grace %d", period)
	if period == 0 && len(pod.Finalizers) == 0 {
		return true, nil, w.client.Tracker().Delete(pods, d.Namespace, d.Name)
	}
	at := metav1.NewTime(time.Now().Add(time.Duration(period) * time.Second))
	pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = &at, &period
	return true, nil, w.client.Tracker().Update(pods, pod, pod.Namespace)
}

// begin runs a worker, as a new process would, until stop is called.
func (w *world) begin() {
	factory := informer.NewFactory(w.client)
	w.worker = New(Options{
		Client: w.client, Factory: factory, Engine: w.engine, Traffic: w.traffic,
		Addresses: netip.MustParsePrefix("10.9.8.0/29"), HostIP: netip.MustParseAddr("10.9.0.1"),
		Machine:  container.Info{Version: "20.10.24", OS: "linux", Arch: "amd64", CPUs: 2, Memory: 4 << 30},
		Capacity: w.capacity, Logins: w.logins, Version: "v1.37.2", DataDir: w.dir, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.worker.Run(ctx) }()
	factory.Start(ctx.Done())
	w.end = func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("worker ended with %v", err)
		}
		factory.Wait()
		w.end = func() {}
	}
	synctest.Wait()
}

// play runs a scenario in virtual time.
func play(t *testing.T, scenario func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.engine.AddImage("web:1", fake.Run)
		w.begin()
		defer func() {
			w.end()
			if t.Failed() {
				t.Log("what was done:\n" + w.journal.String())
			}
		}()
		scenario(t, w)
	})
}

func (w *world) create(pod *corev1.Pod) {
	w.t.Helper()
	if _, err := w.client.CoreV1().Pods(pod.Namespace).Create(context.Background(), pod, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
}

// remove asks the API to delete a Pod; a negative grace is the Pod's own.
func (w *world) remove(name string, seconds int64) {
	w.t.Helper()
	var options metav1.DeleteOptions
	if seconds >= 0 {
		options.GracePeriodSeconds = &seconds
	}
	if err := w.client.CoreV1().Pods("default").Delete(context.Background(), name, options); err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
}

// pod reads a Pod; nil if there is none.
func (w *world) pod(name string) *corev1.Pod {
	w.t.Helper()
	pod, err := w.client.CoreV1().Pods("default").Get(context.Background(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return pod
}

// until lets virtual time pass until a condition holds, at most so long.
func (w *world) until(limit time.Duration, what string, holds func() bool) time.Duration {
	w.t.Helper()
	const step = 10 * time.Millisecond
	for passed := time.Duration(0); passed <= limit; passed += step {
		synctest.Wait()
		if holds() {
			return passed
		}
		time.Sleep(step)
	}
	w.t.Fatalf("after %s still not: %s\n%s", limit, what, w.journal)
	return 0
}

func (w *world) untilReady(name string) {
	w.t.Helper()
	w.until(10*time.Second, "Pod "+name+" is ready", func() bool { return ready(w.pod(name)) })
}

func (w *world) untilGone(name string) {
	w.t.Helper()
	w.until(2*time.Minute, "Pod "+name+" is gone", func() bool { return w.pod(name) == nil })
}

// untilNothingIsLeft waits for what is removed at leisure.
func (w *world) untilNothingIsLeft() {
	w.t.Helper()
	w.until(2*leisureCalm, "nothing is left", func() bool { return len(w.containers()) == 0 })
}

// containers lists what the engine has.
func (w *world) containers() []container.Status {
	list, err := w.engine.Engine.List(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

// events lists the events recorded, as "Reason: message". They are taken from
// the calls: their names come from the clock, which stands still here.
func (w *world) events() []string {
	var out []string
	for _, a := range w.client.Actions() {
		if c, ok := a.(clienttesting.CreateAction); ok {
			if e, ok := c.GetObject().(*corev1.Event); ok {
				out = append(out, e.Reason+": "+e.Message)
			}
		}
	}
	return out
}

func (w *world) untilEvent(text string) {
	w.t.Helper()
	w.until(time.Minute, "event "+text, func() bool { return strings.Contains(strings.Join(w.events(), "\n"), text) })
}

// before fails the test unless one line of the journal comes before another.
func (w *world) before(first, second string) {
	w.t.Helper()
	a, b := w.journal.index(first, 0), w.journal.index(second, 0)
	if a < 0 || b < 0 || a > b {
		w.t.Errorf("%q (line %d) is not before %q (line %d)", first, a, second, b)
	}
}

// failBinding refuses the first bindings.
func failBinding(n int) clienttesting.ReactionFunc {
	return func(a clienttesting.Action) (bool, runtime.Object, error) {
		if a.GetSubresource() != "binding" || n == 0 {
			return false, nil, nil
		}
		n--
		return true, nil, apierrors.NewInternalError(errors.New("disk full"))
	}
}

// checked adds an image whose check says what it is told to say.
func (w *world) checked(image string, healthy bool) *atomic.Bool {
	var answer atomic.Bool
	answer.Store(healthy)
	w.engine.AddImage(image, func(container.Spec) fake.Behaviour {
		return fake.Behaviour{Exec: func(context.Context, []string) ([]byte, int, error) {
			if answer.Load() {
				return nil, 0, nil
			}
			return []byte("no"), 1, nil
		}}
	})
	return &answer
}
