// Package skifftest gives a Go test an orchestrator of its own: isolated from
// every other one on the same Docker Engine, removed when the test ends, and
// telling what happened in it when the test fails.
package skifftest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"skiff/orchestrator"
)

// Instance is a running orchestrator.
type Instance struct {
	Options orchestrator.Options
	Config  *rest.Config // reaches the API as any client outside would
	Client  kubernetes.Interface

	stop func() error
}

// startTimeout bounds the start of an instance, stopTimeout its end. Both are
// far above what either takes, so that a busy machine fails no test.
const (
	startTimeout = 2 * time.Minute
	stopTimeout  = 2 * time.Minute
)

// New starts an orchestrator with a name, a data directory and a port of its
// own. It is ready when New returns. When the test ends, all of it is removed
// from the engine; when the test failed, its Pods, its events and the end of
// what containers wrote are logged first. What a test that was killed has left,
// the next process that calls New removes. The options may be changed before it
// starts, but for the name.
func New(t testing.TB, change ...func(*orchestrator.Options)) *Instance {
	t.Helper()
	name := "test-" + strings.ToLower(rand.Text()[:10])
	o := orchestrator.Options{
		Name:    name,
		DataDir: newHome(t, name).data(),
		Listen:  "127.0.0.1:0",
		Log:     slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo})),

		GatewayProgram: GatewayProgram(t),
	}
	for _, c := range change {
		c(&o)
	}
	// One that does not start has made something on the engine, too.
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		if err := orchestrator.Purge(ctx, o); err != nil && !errors.Is(err, orchestrator.ErrNoInstance) {
			t.Errorf("purge %s: %v", o.Name, err)
		}
	})
	i := Start(t, o)
	// Cleanups run last in, first out: tell, stop, purge.
	t.Cleanup(i.stopFor(t))
	t.Cleanup(func() {
		if t.Failed() {
			i.tell(t)
		}
	})
	return i
}

// Start runs an orchestrator with the given options and waits until it is
// ready. Stop ends it; what it leaves on the engine is the caller's to remove.
func Start(t testing.TB, o orchestrator.Options) *Instance {
	t.Helper()
	orch, err := orchestrator.New(o)
	if err != nil {
		t.Fatalf("new orchestrator: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- orch.Run(ctx) }()
	i := &Instance{Options: o}
	i.stop = func() error {
		cancel()
		i.stop = func() error { return nil }
		return <-ended
	}
	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	select {
	case <-orch.Ready():
	case err := <-ended:
		cancel()
		t.Fatalf("start orchestrator: %v", err)
	case <-timeout.C:
		cancel()
		t.Fatalf("orchestrator not ready after %s; then it ended with %v", startTimeout, <-ended)
	}
	i.Config, err = clientcmd.BuildConfigFromFlags("", orchestrator.PathsIn(o.DataDir).Kubeconfig)
	if err != nil {
		t.Fatalf("read kubeconfig: %v", err)
	}
	i.Config.QPS = -1
	if i.Client, err = kubernetes.NewForConfig(i.Config); err != nil {
		t.Fatalf("new client: %v", err)
	}
	return i
}

// Stop ends the orchestrator as a crash would, as far as the engine sees it:
// the containers run on. A second call does nothing.
func (i *Instance) Stop() error { return i.stop() }

func (i *Instance) stopFor(t testing.TB) func() {
	return func() {
		if err := i.stop(); err != nil {
			t.Errorf("stop %s: %v", i.Options.Name, err)
		}
	}
}

// Namespace is where the methods below act.
const Namespace = metav1.NamespaceDefault

// Deploy creates the Deployment and waits until it is complete.
func (i *Instance) Deploy(t testing.TB, d *appsv1.Deployment) *appsv1.Deployment {
	t.Helper()
	d, err := i.Client.AppsV1().Deployments(Namespace).Create(t.Context(), d, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("create deployment: %v", err)
	}
	i.WaitRollout(t, d.Name)
	return d
}

// Update changes the Deployment, again if somebody else did meanwhile.
func (i *Instance) Update(t testing.TB, name string, change func(*appsv1.Deployment)) {
	t.Helper()
	if err := i.TryUpdate(t.Context(), name, change); err != nil {
		t.Fatalf("update deployment %s: %v", name, err)
	}
}

// Expose creates the Service and returns the loopback address of its first port.
func (i *Instance) Expose(t testing.TB, s *corev1.Service) string {
	t.Helper()
	s, err := i.Client.CoreV1().Services(Namespace).Create(t.Context(), s, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("create service: %v", err)
	}
	return fmt.Sprintf("127.0.0.1:%d", s.Spec.Ports[0].NodePort)
}

// tell logs what a person would look at first.
func (i *Instance) tell(t testing.TB) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	pods, err := i.Client.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Logf("list pods: %v", err)
		return
	}
	for _, p := range pods.Items {
		t.Logf("pod %s/%s %s %s", p.Namespace, p.Name, p.Status.Phase, states(containers(&p)))
	}
	events, err := i.Client.CoreV1().Events("").List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Logf("list events: %v", err)
		return
	}
	slices.SortFunc(events.Items, func(a, b corev1.Event) int { return a.LastTimestamp.Compare(b.LastTimestamp.Time) })
	for _, e := range events.Items {
		t.Logf("event %s %s %s/%s: %s", e.LastTimestamp.Format(time.TimeOnly), e.Reason,
			strings.ToLower(e.InvolvedObject.Kind), e.InvolvedObject.Name, e.Message)
	}
	for _, p := range pods.Items {
		for _, s := range containers(&p) {
			log, err := i.Client.CoreV1().Pods(p.Namespace).GetLogs(p.Name, &corev1.PodLogOptions{
				Container: s.Name, TailLines: new(int64(10)), LimitBytes: new(int64(16 << 10)),
			}).DoRaw(ctx)
			if err == nil && len(log) > 0 { // what has not started has none, and its state says why
				t.Logf("last lines of pod %s/%s, container %s:\n%s", p.Namespace, p.Name, s.Name, log)
			}
		}
	}
	if log, err := os.ReadFile(orchestrator.PathsIn(i.Options.DataDir).Log); err == nil {
		t.Logf("%s", log)
	}
}

func containers(p *corev1.Pod) []corev1.ContainerStatus {
	return slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses)
}

func states(all []corev1.ContainerStatus) string {
	var b strings.Builder
	for _, s := range all {
		fmt.Fprintf(&b, "%s ready=%t restarts=%d ", s.Name, s.Ready, s.RestartCount)
		switch {
		case s.State.Waiting != nil:
			fmt.Fprintf(&b, "waiting (%s: %s) ", s.State.Waiting.Reason, s.State.Waiting.Message)
		case s.State.Terminated != nil:
			fmt.Fprintf(&b, "terminated (%s, %d) ", s.State.Terminated.Reason, s.State.Terminated.ExitCode)
		}
		if last := s.LastTerminationState.Terminated; last != nil {
			fmt.Fprintf(&b, "ended before (%s, %d) ", last.Reason, last.ExitCode)
		}
	}
	return b.String()
}
