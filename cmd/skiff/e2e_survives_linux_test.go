package main_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"skiff/orchestrator/resource"
)

// onceManifest is a Pod that is not restarted, whatever becomes of it.
const onceManifest = `
apiVersion: v1
kind: Pod
metadata: {name: once, labels: {app: once}}
spec:
  restartPolicy: Never
  containers:
  - {name: life, image: "skiff-example/life:1", args: [serve]}
`

// TestSurvivesTheEngine ends the engine under skiff in every way and starts it
// again: the API answers throughout, the node says what is the matter, requests
// wait, and each Pod comes back once, where it was, without back-off.
func TestSurvivesTheEngine(t *testing.T) {
	t.Parallel()
	m := onMachine(t, "skiff-example/web:1", "skiff-example/life:1")
	i := m.instance(t)
	i.up(t)
	must(t, i.skiff, "apply", "-f", i.write(t, "once.yaml", onceManifest))
	address := i.deployOnMachine(t)
	const plain, restore = `{}`, `{"live-restore": true}`
	for _, fault := range []struct {
		name, next string // what happens to the engine, and how the next one is configured
		lose       func(*testing.T)
		restarts   int32
	}{
		{"stopped", plain, m.stop, 1},
		{"killed", plain, m.kill, 1},
		{"killed, with its containers living on", restore, m.kill, 0},
	} {
		t.Run(fault.name, func(t *testing.T) {
			before := i.webPods(t, 3)
			containers := len(i.applications(t))
			user := i.keepAsking(t)
			fault.lose(t)
			i.awaitNode(t, corev1.ConditionFalse, "KubeletNotReady")
			held := i.request(t, address)
			if fault.name == "stopped" {
				select {
				case end := <-held:
					t.Errorf("a request while the engine is down was not held: %s", end)
				default:
				}
			}
			m.start(t, fault.next)
			i.awaitNode(t, corev1.ConditionTrue, "KubeletReady")
			after := i.restarted(t, before, fault.restarts)
			if end := <-held; !strings.HasPrefix(end, "200 ") && !strings.Contains(end, "the container engine does not answer") {
				t.Errorf("the request made while the engine was down: %s", end)
			}
			if got := try(t, i.skiff, "get", "events", "--field-selector", "reason=BackOff", "-o", "name"); got.out != "" {
				t.Errorf("the outage caused back-off: %v", got)
			}
			lists, writes, failed := user.stop()
			if len(failed) > 0 || lists == 0 || writes == 0 {
				t.Errorf("%d lists and %d writes during the outage; failed: %q", lists, writes, failed)
			}
			t.Logf("%d lists and %d writes during the outage, all answered; Pods %v", lists, writes, after)
			if fault.name == "stopped" { // each has its last container and the one before
				containers += len(before)
			}
			eventually(t, func() error {
				if now := i.applications(t); len(now) != containers {
					return fmt.Errorf("%d containers, want %d: %v", len(now), containers, now)
				}
				return nil
			})
			eventually(t, func() error {
				if phase := must(t, i.skiff, "get", "pod", "once", "-o", "jsonpath={.status.phase} {.status.containerStatuses[0].restartCount}"); phase != "Succeeded 0" {
					return fmt.Errorf("the Pod that is not to be restarted: %s, want Succeeded 0: it ends well at SIGTERM", phase)
				}
				return nil
			})
		})
	}
	t.Run("pruned", func(t *testing.T) { i.prune(t, address) })
	i.owned(t)
}

// deployOnMachine applies the example and gives the address that it answers on,
// within the machine.
func (i *instance) deployOnMachine(t *testing.T) (address string) {
	t.Helper()
	file := i.write(t, "web.yaml", webManifest(t))
	must(t, i.skiff, "apply", "-f", file)
	must(t, i.skiff, "rollout", "status", "-f", file)
	return i.nodePort(t, "web")
}

// awaitNode waits until the node says so of itself.
func (i *instance) awaitNode(t *testing.T, status corev1.ConditionStatus, reason string) {
	t.Helper()
	api := i.api(t)
	eventually(t, func() error {
		node, err := api.Client.CoreV1().Nodes().Get(t.Context(), resource.NodeName, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, c := range node.Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status == status && c.Reason == reason {
				return nil
			}
		}
		return fmt.Errorf("the node's conditions: %v", node.Status.Conditions)
	})
}

// restarted waits until the Pods are the same ones as before, ready again, and
// restarted so many times.
func (i *instance) restarted(t *testing.T, before map[string]corev1.Pod, times int32) (names []string) {
	t.Helper()
	i.api(t).WaitPods(t, "app=web", func(pods []corev1.Pod) bool {
		return len(pods) == len(before) && !slices.ContainsFunc(pods, func(p corev1.Pod) bool {
			was, known := before[string(p.UID)]
			return !known || notReady(p) || p.Status.ContainerStatuses[0].RestartCount < was.Status.ContainerStatuses[0].RestartCount+times
		})
	})
	after := i.webPods(t, len(before))
	for uid, p := range after {
		was := before[uid]
		if p.Status.PodIP != was.Status.PodIP {
			t.Errorf("Pod %s was at %s and is at %s", p.Name, was.Status.PodIP, p.Status.PodIP)
		}
		if n := p.Status.ContainerStatuses[0].RestartCount - was.Status.ContainerStatuses[0].RestartCount; n != times {
			t.Errorf("Pod %s was restarted %d times, want %d", p.Name, n, times)
		}
	}
	return slices.Sorted(maps.Keys(after))
}

// request asks the address once and tells how that ended.
func (i *instance) request(t *testing.T, address string) <-chan string {
	ended := make(chan string, 1)
	client := &http.Client{Transport: &http.Transport{DialContext: i.dial, DisableKeepAlives: true}, Timeout: patience}
	go func() {
		answer, err := client.Get("http://" + address)
		if err != nil {
			ended <- err.Error()
			return
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 1000))
		ended <- answer.Status + " " + string(text)
	}()
	return ended
}

// apiUser is somebody who uses the API all the time.
type apiUser struct {
	end           context.CancelFunc
	over          sync.WaitGroup
	lists, writes int
	failed        []string
}

func (i *instance) keepAsking(t *testing.T) *apiUser {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	a := &apiUser{end: cancel}
	client := i.api(t).Client
	a.over.Go(func() { a.run(ctx, client) })
	return a
}

func (a *apiUser) run(ctx context.Context, client kubernetes.Interface) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		_, err := client.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
		if a.note(ctx, err); err == nil {
			a.lists++
		}
		_, err = client.CoreV1().ConfigMaps("default").Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "asked-"}}, metav1.CreateOptions{})
		if a.note(ctx, err); err == nil {
			a.writes++
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

func (a *apiUser) note(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		a.failed = append(a.failed, err.Error())
	}
}

func (a *apiUser) stop() (lists, writes int, failed []string) {
	a.end()
	a.over.Wait()
	return a.lists, a.writes, a.failed
}
