package orchestrator_test

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/watch"

	"skiff/orchestrator/skifftest"
)

// TestBoundsOfARollout watches every change of every Pod while rollouts go on:
// the available ones never fall below replicas - maxUnavailable, and all of
// them together never exceed replicas + maxSurge.
func TestBoundsOfARollout(t *testing.T) {
	images(t)
	percent, number := intstr.FromString, intstr.FromInt32
	for _, row := range []struct {
		replicas                  int32
		maxSurge, maxUnavailable  intstr.IntOrString
		mostPods, fewestAvailable int // Kubernetes' rounding: surge up, unavailable down
	}{
		{1, percent("25%"), percent("25%"), 2, 1},
		{3, number(1), number(0), 4, 3},
		{3, number(0), number(1), 3, 2},
		{4, percent("25%"), percent("25%"), 5, 3},
		{5, percent("50%"), percent("50%"), 8, 3},
		{6, number(0), percent("34%"), 6, 4},
		{2, percent("100%"), number(0), 4, 2},
	} {
		t.Run(fmt.Sprintf("%d replicas, surge %s, unavailable %s", row.replicas, &row.maxSurge, &row.maxUnavailable), func(t *testing.T) {
			t.Parallel()
			i := skifftest.New(t)
			i.Deploy(t, web(row.replicas, surge(row.maxSurge, row.maxUnavailable)))
			b := watchBounds(t, i)
			for v := 2; v <= 4; v++ {
				i.Update(t, "web", version(v))
				i.WaitRollout(t, "web")
			}
			b.stop(t)
			if b.most > row.mostPods || b.fewest < row.fewestAvailable {
				t.Errorf("there were up to %d Pods (bound %d) and down to %d available (bound %d)",
					b.most, row.mostPods, b.fewest, row.fewestAvailable)
			}
			if b.changes < 3*int(row.replicas) {
				t.Errorf("only %d changes were seen", b.changes)
			}
		})
	}
}

// bounds is what a watcher saw. Pods on their way out are no longer counted,
// as Kubernetes does not count them.
type bounds struct {
	most, fewest, changes int
	cancel                context.CancelFunc
	ended                 chan error
}

func watchBounds(t *testing.T, i *skifftest.Instance) *bounds {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	client := i.Client.CoreV1().Pods(skifftest.Namespace)
	list, err := client.List(ctx, metav1.ListOptions{LabelSelector: "app=web"})
	if err != nil {
		t.Fatal(err)
	}
	pods := map[string]corev1.Pod{}
	for _, p := range list.Items {
		pods[p.Name] = p
	}
	w, err := client.Watch(ctx, metav1.ListOptions{LabelSelector: "app=web", ResourceVersion: list.ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	b := &bounds{cancel: cancel, ended: make(chan error, 1), fewest: len(pods)}
	go func() {
		defer w.Stop()
		for {
			select {
			case e, open := <-w.ResultChan():
				if !open {
					b.ended <- fmt.Errorf("the watch ended early")
					return
				}
				b.changes++
				note(pods, e)
				all, available := count(pods)
				b.most, b.fewest = max(b.most, all), min(b.fewest, available)
			case <-ctx.Done():
				b.ended <- nil
				return
			}
		}
	}()
	return b
}

func note(pods map[string]corev1.Pod, e watch.Event) {
	p, ok := e.Object.(*corev1.Pod)
	switch {
	case !ok:
	case e.Type == watch.Deleted:
		delete(pods, p.Name)
	default:
		pods[p.Name] = *p
	}
}

func count(pods map[string]corev1.Pod) (all, available int) {
	for _, p := range pods {
		if p.DeletionTimestamp != nil {
			continue
		}
		all++
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
				available++
			}
		}
	}
	return all, available
}

func (b *bounds) stop(t *testing.T) {
	t.Helper()
	b.cancel()
	if err := <-b.ended; err != nil {
		t.Error(err)
	}
}
