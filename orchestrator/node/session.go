package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"skiff/runtime/container"
)

// Exec runs a command in a container of the Pod for somebody who talks to it,
// and returns its exit code. Errors are the API's.
func (w *Worker) Exec(ctx context.Context, pod *corev1.Pod, name string, cmd []string, s container.Session) (int, error) {
	id, err := runningID(pod, name)
	if err != nil {
		return 0, err
	}
	return w.Engine.ExecSession(ctx, id, cmd, s)
}

// Attach connects somebody to the process of a container of the Pod.
func (w *Worker) Attach(ctx context.Context, pod *corev1.Pod, name string, s container.Session) error {
	id, err := runningID(pod, name)
	if err != nil {
		return err
	}
	return w.Engine.AttachSession(ctx, id, s)
}

// runningID finds the container in the Pod's status.
func runningID(pod *corev1.Pod, name string) (string, error) {
	st := &pod.Status
	for _, cs := range slices.Concat(st.InitContainerStatuses, st.ContainerStatuses, st.EphemeralContainerStatuses) {
		if cs.Name == name && cs.State.Running != nil {
			return cs.ContainerID, nil
		}
	}
	return "", apierrors.NewBadRequest(fmt.Sprintf("container %s of pod %s does not run", name, pod.Name))
}

// How long a connection waits for a Pod that is on its way.
const dialHold = 30 * time.Second

var errNoPod = errors.New("the Pod is gone, and there is no other one of its owner")

// DialPod connects to a port of the Pod. Where the Pod is gone or leaving, a
// ready one of the same owner takes its place, and is waited for if there is
// one on its way: so a forwarded port survives a rollout.
func (w *Worker) DialPod(ctx context.Context, pod *corev1.Pod, port int32) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialHold)
	defer cancel()
	target, err := w.awaitReachable(ctx, pod)
	if err != nil {
		return nil, err
	}
	conn, err := w.Engine.DialContext(ctx, "tcp", net.JoinHostPort(target.Status.PodIP, strconv.Itoa(int(port))))
	if id := anyRunning(target); id != "" && errors.Is(err, syscall.ECONNREFUSED) {
		// In Kubernetes it is the Pod's own loopback address that is connected to.
		return w.Engine.DialLoopback(ctx, identity(target), id, int(port))
	}
	return conn, err
}

// anyRunning is one of the Pod's containers: they share their network.
func anyRunning(pod *corev1.Pod) (id string) {
	for _, cs := range slices.Concat(pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses) {
		if cs.State.Running != nil {
			return cs.ContainerID
		}
	}
	return ""
}

func (w *Worker) awaitReachable(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	news := make(chan struct{}, 1)
	tell := func(any) {
		select {
		case news <- struct{}{}:
		default:
		}
	}
	registration, err := w.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: tell, UpdateFunc: func(_, obj any) { tell(obj) }, DeleteFunc: tell,
	})
	if err != nil {
		return nil, fmt.Errorf("watch Pods: %w", err)
	}
	defer func() {
		if err := w.informer.RemoveEventHandler(registration); err != nil {
			w.Log.Debug("handler was not removed", "error", err)
		}
	}()
	for {
		all, err := corelisters.NewPodLister(w.informer.GetIndexer()).Pods(pod.Namespace).List(labels.Everything())
		if err != nil {
			return nil, fmt.Errorf("list Pods: %w", err)
		}
		target, coming := reachable(all, pod)
		switch {
		case target != nil:
			return target, nil
		case !coming:
			return nil, errNoPod
		}
		select {
		case <-news:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for a Pod in the place of %s: %w", pod.Name, ctx.Err())
		}
	}
}

// reachable chooses who stands for a Pod: itself, ready or not, until it leaves
// or is over, then the newest ready one of its owner. coming says whether there
// may be one later.
func reachable(all []*corev1.Pod, pod *corev1.Pod) (target *corev1.Pod, coming bool) {
	for _, p := range all {
		itself := p.UID == pod.UID
		if !itself && !siblings(p, pod) || p.DeletionTimestamp != nil || over(p.Status.Phase) {
			continue
		}
		coming = true
		switch {
		case itself && p.Status.PodIP == "":
			return nil, true
		case itself:
			return p, true
		case serves(p) && (target == nil || p.CreationTimestamp.After(target.CreationTimestamp.Time)):
			target = p
		}
	}
	return target, coming
}

func serves(pod *corev1.Pod) bool {
	c := condition(pod.Status.Conditions, corev1.PodReady)
	return pod.DeletionTimestamp == nil && c != nil && c.Status == corev1.ConditionTrue
}

// siblings says whether two Pods come from one owner. The Pods of one Deployment
// have several ReplicaSets, whose names differ in the hash that each Pod carries.
func siblings(a, b *corev1.Pod) bool {
	return family(a) != "" && family(a) == family(b)
}

func family(pod *corev1.Pod) string {
	owner := metav1.GetControllerOf(pod)
	if owner == nil {
		return ""
	}
	name := owner.Name
	if hash := pod.Labels["pod-template-hash"]; hash != "" && len(name) > len(hash) && name[len(name)-len(hash):] == hash {
		name = name[:len(name)-len(hash)]
	}
	return owner.Kind + "/" + name
}
