package receipt

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"skiff/orchestrator/informer"
	"skiff/orchestrator/rollout"
	"skiff/proxy/pool"
	"skiff/proxy/switchboard"
)

// world is a Controller over an API in memory, where the test plays the others.
type world struct {
	*Controller
	t      *testing.T
	client *fake.Clientset

	mu       sync.Mutex
	requests uint64 // to each revision
}

func newWorld(t *testing.T, objects ...runtime.Object) *world {
	w := &world{t: t, client: fake.NewClientset(objects...)}
	factory := informer.NewFactory(w.client)
	w.Controller = New(Options{
		Client: w.client, Factory: factory, Counts: w.counts,
		Clock: clock.RealClock{}, Log: slog.New(slog.DiscardHandler),
	})
	ctx, stop := context.WithCancel(t.Context())
	factory.Start(ctx.Done())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-ended
		factory.Wait()
	})
	settle()
	return w
}

func (w *world) counts(context.Context) switchboard.Counts {
	w.mu.Lock()
	defer w.mu.Unlock()
	tally := pool.Tally{Answered: [6]uint64{2: w.requests}}
	return switchboard.Counts{"default/web": counts(map[string]pool.Tally{"web-1": tally, "web-2": tally})}
}

func (w *world) ask(n uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests += n
}

func template(image string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: image}}},
	}
}

func deployment(image string) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default", UID: "deployment", Generation: 1},
		Spec: appsv1.DeploymentSpec{
			Replicas: ptr.To[int32](1), Template: template(image),
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
		},
	}
}

func complete(d *appsv1.Deployment) *appsv1.Deployment {
	d.Status = appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: 1, UpdatedReplicas: 1, AvailableReplicas: 1}
	return d
}

func set(revision int, image string) *appsv1.ReplicaSet {
	return &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprint("web-", revision), Namespace: "default", UID: types.UID(fmt.Sprint("set-", revision)),
			Annotations:     map[string]string{rollout.RevisionAnnotation: fmt.Sprint(revision)},
			OwnerReferences: []metav1.OwnerReference{{Kind: "Deployment", Name: "web", UID: "deployment", Controller: ptr.To(true)}},
		},
		Spec: appsv1.ReplicaSetSpec{Template: template(image)},
	}
}

func pod(revision int) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: fmt.Sprintf("web-%d-a", revision), Namespace: "default", UID: types.UID(fmt.Sprint("pod-", revision)),
		OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: fmt.Sprint("web-", revision), UID: types.UID(fmt.Sprint("set-", revision)), Controller: ptr.To(true)}},
	}}
}

func (w *world) update(d *appsv1.Deployment) {
	w.t.Helper()
	if _, err := w.client.AppsV1().Deployments("default").Update(w.t.Context(), d, metav1.UpdateOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

// settle lets the Controller do all that it can do now.
func settle() {
	synctest.Wait()
	time.Sleep(200 * time.Millisecond) // what was refused is tried again, and events are written
	synctest.Wait()
}

// receipt is what a ReplicaSet says once all is done that can be.
func (w *world) receipt(name string) (r Receipt, ok, over bool) {
	w.t.Helper()
	settle()
	rs, err := w.client.AppsV1().ReplicaSets("default").Get(w.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	r, ok = Of(rs)
	return r, ok, ok && r.Ended != nil
}

func TestRollout(t *testing.T) { synctest.Test(t, testRollout) }

func testRollout(t *testing.T) {
	w := newWorld(t, complete(deployment("web:1")), set(1, "web:1"), pod(1))
	w.ask(100)

	// kubectl's undo would have copied an old receipt.
	d := deployment("web:2")
	d.Generation = 2
	d.Annotations = map[string]string{rollout.ReceiptAnnotation: "{}"}
	w.update(d)
	settle()
	w.ask(10)
	if _, err := w.client.AppsV1().ReplicaSets("default").Create(t.Context(), set(2, "web:2"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if r, ok, over := w.receipt("web-2"); !ok || over {
		t.Errorf("while it is under way: %+v", r)
	}
	w.update(complete(d))
	if r, _, over := w.receipt("web-2"); over {
		t.Errorf("while the old Pod has something in flight: %s", r)
	}
	w.ask(1)
	w.Drained(pod(1))
	r, _, over := w.receipt("web-2")
	if !over || r.From != 1 || r.Revision != 2 || r.Requests != 22 || r.Partial {
		t.Errorf("%+v", r)
	}
	list, err := w.client.CoreV1().Events("default").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 1 || list.Items[0].Reason != "RolloutReceipt" || list.Items[0].Message != r.String() {
		t.Errorf("%v; want one event that says %s, got %v", err, r, list.Items)
	}
	now, err := w.client.AppsV1().Deployments("default").Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil || now.Annotations[rollout.ReceiptAnnotation] != "" {
		t.Errorf("the Deployment keeps a receipt: %v, %v", now.Annotations, err)
	}

	// A change of size is no rollout; going back to an earlier template is one.
	now.Spec.Replicas = ptr.To[int32](3)
	w.update(now)
	if same, _, _ := w.receipt("web-2"); !same.Ended.Equal(*r.Ended) {
		t.Errorf("a change of size made a receipt: %s", same)
	}
	now = now.DeepCopy()
	now.Spec.Template = template("web:1")
	w.update(now)
	if back, ok, over := w.receipt("web-1"); !ok || over || back.From != 2 {
		t.Errorf("going back: %+v", back)
	}
}

// What was under way before skiff was started is counted from then on.
func TestStartedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		current := set(2, "web:2")
		current.Annotations[rollout.ReceiptAnnotation] = `{"deployment":"web","from":1,"began":"1999-12-31T23:58:00.5Z"}`
		w := newWorld(t, deployment("web:2"), set(1, "web:1"), current)
		w.ask(3)
		w.update(complete(deployment("web:2")))
		r, _, over := w.receipt("web-2")
		if !over || !r.Partial || r.Requests != 6 || r.Took() < time.Minute {
			t.Errorf("%+v", r)
		}
	})
}

// Pods that start again with skiff are no rollout: the receipt of the last one
// stays. Going back to an earlier template, whose set has that of then, is one.
func TestPodsStartAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := set(2, "web:2")
		told.Annotations[rollout.ReceiptAnnotation] = `{"deployment":"web","from":1,"revision":2,"began":"1999-12-31T23:58:00Z","ended":"1999-12-31T23:59:00Z","requests":7}`
		w := newWorld(t, deployment("web:2"), set(1, "web:1"), told)
		w.update(complete(deployment("web:2")))
		if r, _, _ := w.receipt("web-2"); r.Requests != 7 || r.Partial {
			t.Errorf("Pods that start again made a receipt: %+v", r)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		told := set(1, "web:1")
		told.Annotations[rollout.ReceiptAnnotation] = `{"deployment":"web","revision":1,"began":"1999-12-31T23:58:00Z","ended":"1999-12-31T23:59:00Z"}`
		w := newWorld(t, deployment("web:1"), told, set(2, "web:2"))
		if r, ok, over := w.receipt("web-1"); !ok || over || !r.Partial {
			t.Errorf("going back: %+v", r)
		}
	})
}

// What was at its end already gets no receipt.
func TestNothingToSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, complete(deployment("web:1")), set(1, "web:1"), pod(1))
		w.update(complete(deployment("web:1")))
		if r, ok, _ := w.receipt("web-1"); ok {
			t.Errorf("%+v", r)
		}
	})
}
