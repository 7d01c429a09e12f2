package main_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// seeded gives the test's random numbers. SKIFF_TEST_SEED repeats those of an
// earlier run.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed, err := strconv.ParseUint(os.Getenv("SKIFF_TEST_SEED"), 10, 64)
	if err != nil {
		seed = rand.Uint64()
	}
	t.Logf("SKIFF_TEST_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// crashWithin kills the daemon at a moment that nothing else decides.
func (i *instance) crashWithin(t *testing.T, random *rand.Rand, most time.Duration) {
	t.Helper()
	after := time.Duration(random.Int64N(int64(most)))
	<-time.After(after)
	i.crash(t)
	t.Logf("killed after %s", after)
}

// TestCrashDuringRollout kills the daemon again and again in the middle of
// updates. Each time the next one adopts what runs and carries on.
func TestCrashDuringRollout(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	i := start(t)
	address := i.deployWeb(t)
	var written []string
	for round := range 5 {
		image := fmt.Sprintf("web=skiff-example/web:%d", 2-round%2)
		must(t, i.skiff, "set", "image", "deployment/web", image)
		writer := i.startWriter(t, round)
		i.crashWithin(t, random, 2500*time.Millisecond)
		written = append(written, writer.stop()...)
		running := i.running(t)
		i.up(t)
		if got := must(t, i.skiff, "get", "deployment", "web", "-o", "jsonpath={.spec.template.spec.containers[*].image}"); got != strings.TrimPrefix(image, "web=") {
			t.Errorf("the image that was set is lost: %s instead of %s", got, image)
		}
		if round%2 == 1 {
			continue // and killed again with this rollout under way
		}
		must(t, i.skiff, "rollout", "status", "deployment/web")
		for uid, p := range i.webPods(t, 3) {
			if id, survived := running[uid]; survived && (id != containerID(p) || p.Status.ContainerStatuses[0].RestartCount != 0) {
				t.Errorf("round %d: Pod %s survived, its container did not: %s before, %s now", round, p.Name, id, containerID(p))
			}
		}
		i.owned(t)
	}

	before := i.containers(t)
	i.crash(t)
	i.up(t)
	i.webPods(t, 3)
	i.answers(t, address)
	if after := i.containers(t); !slices.Equal(before, after) {
		t.Errorf("a crash with nothing under way changed the containers:\nbefore %v\nafter  %v", before, after)
	}
	i.hasWritten(t, written)
	must(t, i.skiff, "delete", "-f", "web.yaml")
	i.nothingRuns(t)
}

// TestCrashDuringDelete kills the daemon while a Deployment is being deleted.
func TestCrashDuringDelete(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	i := start(t)
	for range 3 {
		i.deployWeb(t)
		must(t, i.skiff, "delete", "deployment", "web", "--wait=false")
		i.crashWithin(t, random, time.Second)
		i.up(t)
		i.nothingRuns(t)
		if r := try(t, i.skiff, "get", "deployment", "web"); r.code != 1 {
			t.Errorf("the deletion was forgotten: %v", r)
		}
	}
}

// TestCrashWhileDraining kills the daemon while a Pod that is to go still has a
// request to finish.
func TestCrashWhileDraining(t *testing.T) {
	t.Parallel()
	i := start(t)
	address := i.deployWeb(t)
	must(t, i.skiff, "scale", "deployment/web", "--replicas=1")
	leaving := slices.Collect(maps.Values(i.webPods(t, 1)))[0]

	broken := keepInFlight(t, address)
	must(t, i.skiff, "delete", "pod", leaving.Name, "--wait=false")
	next := i.api(t).WaitPods(t, "app=web", func(pods []corev1.Pod) bool {
		return len(pods) == 2 && slices.ContainsFunc(pods, func(p corev1.Pod) bool {
			return p.UID != leaving.UID && len(p.Status.ContainerStatuses) > 0 && p.Status.ContainerStatuses[0].Ready
		})
	})
	if _, runs := i.running(t)[string(leaving.UID)]; !runs {
		t.Error("the Pod ended with a request in flight")
	}
	i.crash(t)
	if err := <-broken; err == nil {
		t.Error("the request ended well without its daemon")
	}
	i.up(t)
	after := i.webPods(t, 1)
	for _, p := range next {
		if p.UID == leaving.UID {
			continue
		}
		if now, there := after[string(p.UID)]; !there || containerID(now) != containerID(p) {
			t.Errorf("Pod %s was replaced: %v", p.Name, slices.Collect(maps.Keys(after)))
		}
	}
	i.owned(t)
	i.answers(t, address)
}

// keepInFlight has the address answer a request that does not end: the echo of
// a body that has no end either. It returns once the answer has begun; broken
// tells how the request ended.
func keepInFlight(t *testing.T, address string) (broken <-chan error) {
	t.Helper()
	body, more := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/echo", body)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = more.Write(make([]byte, 256<<10)) }()
	answer, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		ended <- err
	}()
	return ended
}

// running gives the containers that run, by their Pods' UID.
func (i *instance) running(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, c := range i.containers(t) {
		if c.State == "running" {
			found[c.UID] = c.ID
		}
	}
	return found
}

// owned waits until everything on the engine belongs to a Pod that exists.
func (i *instance) owned(t *testing.T) {
	t.Helper()
	eventually(t, func() error {
		pods, err := i.api(t).Client.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, c := range i.containers(t) {
			if !slices.ContainsFunc(pods.Items, func(p corev1.Pod) bool { return string(p.UID) == c.UID }) {
				return fmt.Errorf("container %s (%s) of Pod %s has no owner", c.Container, c.State, c.Pod)
			}
		}
		return nil
	})
	others := slices.DeleteFunc(i.onEngine(t), func(o string) bool { return strings.HasPrefix(o, "container/") })
	if want := []string{"network/skiff-" + i.name}; !slices.Equal(others, want) {
		t.Errorf("on the engine besides containers: %v, want %v", others, want)
	}
}

// nothingRuns waits until no Pod and no container is left.
func (i *instance) nothingRuns(t *testing.T) {
	t.Helper()
	i.api(t).WaitPods(t, "", func(pods []corev1.Pod) bool { return len(pods) == 0 })
	eventually(t, func() error {
		if left := i.containers(t); len(left) > 0 {
			return fmt.Errorf("left: %v", left)
		}
		return nil
	})
}

// writer creates one object after the other and remembers which ones it was
// told are there.
type writer struct {
	cancel func()
	done   chan []string
}

func (i *instance) startWriter(t *testing.T, round int) writer {
	ctx, cancel := context.WithCancel(t.Context())
	w := writer{cancel, make(chan []string, 1)}
	client := i.api(t).Client
	go func() { w.done <- write(ctx, client, round) }()
	return w
}

func write(ctx context.Context, client kubernetes.Interface, round int) (acknowledged []string) {
	for n := 0; ; n++ {
		cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("written-%d-%d", round, n)}}
		if _, err := client.CoreV1().ConfigMaps("default").Create(ctx, cm, metav1.CreateOptions{}); err != nil {
			return acknowledged
		}
		acknowledged = append(acknowledged, cm.Name)
	}
}

func (w writer) stop() []string {
	w.cancel()
	return <-w.done
}

// hasWritten sees that everything is there that a writer was told is.
func (i *instance) hasWritten(t *testing.T, names []string) {
	t.Helper()
	list, err := i.api(t).Client.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, cm := range list.Items {
		there[cm.Name] = true
	}
	for _, name := range names {
		if !there[name] {
			t.Errorf("%s was acknowledged and is lost", name)
		}
	}
	t.Logf("%d objects acknowledged, all there", len(names))
}
