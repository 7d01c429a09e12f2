package main_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"skiff/examples/load"
	"skiff/examples/load/loadtest"
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

// crashStarting kills a daemon that is still finding out what there is.
func (i *instance) crashStarting(t *testing.T, random *rand.Rand, most time.Duration) {
	t.Helper()
	daemon := i.skiff(t.Context(), "up", "--listen", "127.0.0.1:0")
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	after := time.Duration(random.Int64N(int64(most)))
	<-time.After(after)
	if err := daemon.Process.Kill(); err != nil {
		t.Errorf("the daemon ended by itself: %v", err)
	}
	_ = daemon.Wait()
	t.Logf("killed %s after its start", after)
}

// TestCrashDuringRollout kills the daemon again and again in the middle of
// updates. Each time the next one adopts what runs and carries on, and what Pods
// say to each other does not notice.
func TestCrashDuringRollout(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	i := start(t)
	address := i.deployWeb(t)
	_, inside := i.expose(t, "inner", "http")
	i.answers(t, inside)
	clients := loadtest.New(t)
	clients.Load("inside", load.Options{Address: inside, Rate: 50, Fresh: 0.5, Conns: 8})
	var written []string
	for round := range 5 {
		image := fmt.Sprintf("web=skiff-example/web:%d", 2-round%2)
		must(t, i.skiff, "set", "image", "deployment/web", image)
		writer := i.startWriter(t, round)
		i.crashWithin(t, random, 1500*time.Millisecond)
		written = append(written, writer.stop()...)
		running := i.running(t)
		if round%2 == 1 {
			i.crashStarting(t, random, 800*time.Millisecond)
		}
		i.up(t)
		if got := must(t, i.skiff, "get", "deployment", "web", "-o", "jsonpath={.spec.template.spec.containers[*].image}"); got != strings.TrimPrefix(image, "web=") {
			t.Errorf("the image that was set is lost: %s instead of %s", got, image)
		}
		if round%2 == 1 {
			continue // and killed again with this rollout under way
		}
		must(t, i.skiff, "rollout", "status", "deployment/web")
		for uid, p := range i.webPods(t, 3) {
			survived := slices.Contains(slices.Collect(maps.Values(running)), uid)
			if survived && (running[containerID(p)] == "" || p.Status.ContainerStatuses[0].RestartCount != 0) {
				t.Errorf("round %d: Pod %s survived, its container did not", round, p.Name)
			}
		}
		i.owned(t)
	}

	clients.Stop(t)

	before := i.applications(t)
	i.crash(t)
	i.up(t)
	i.webPods(t, 3)
	i.answers(t, address)
	if after := i.applications(t); !slices.Equal(before, after) {
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

// TestCrashDuringDown kills the daemon while it lets its Pods end. They are the
// next one's, under their old names, and reached from the host and from inside:
// the gateway, which ran on, had been told that they leave.
func TestCrashDuringDown(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	i := start(t)
	const image = "image: skiff-example/web:1"
	const slowly = image + "\n        lifecycle: {preStop: {sleep: {seconds: 15}}}"
	must(t, i.skiff, "apply", "-f", i.write(t, "web.yaml", strings.Replace(webManifest(t), image, slowly, 1)))
	before := slices.Sorted(maps.Keys(i.webPods(t, 3)))
	address := i.nodePort(t, "web")
	_, inside := i.expose(t, "inner", "http")
	i.answers(t, inside)

	down := i.skiff(t.Context(), "down")
	if err := down.Start(); err != nil {
		t.Fatal(err)
	}
	i.api(t).WaitEvent(t, "Killing", "Stopping container web")
	i.crashWithin(t, random, time.Second)
	_ = down.Wait()
	i.up(t)
	if after := slices.Sorted(maps.Keys(i.webPods(t, 3))); !slices.Equal(before, after) {
		t.Errorf("other Pods: before %v, after %v", before, after)
	}
	i.answers(t, address)
	i.answers(t, inside)
	i.owned(t)
}

// TestCrashDuringRestartOfAll kills the daemon while all containers of a Pod are
// being restarted: each is restarted, and once.
func TestCrashDuringRestartOfAll(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	i := start(t)
	manifest, err := filepath.Abs("../../examples/life/restart.yaml")
	if err != nil {
		t.Fatal(err)
	}
	must(t, i.skiff, "apply", "-f", manifest)
	settled := func(round int) func(p *corev1.Pod) bool {
		return func(p *corev1.Pod) bool {
			all := slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses)
			return len(all) == 3 && all[1].Ready && all[2].Ready &&
				!slices.ContainsFunc(all, func(cs corev1.ContainerStatus) bool { return cs.RestartCount != int32(round) })
		}
	}
	ip := i.api(t).WaitPod(t, "together", settled(0)).Status.PodIP
	for round := 1; round <= 5; round++ {
		// Its container may end before it is heard how the command did.
		t.Logf("round %d: %v", round, try(t, i.skiff, "exec", "together", "-c", "app", "--", "life", "work", "/data/again", "please"))
		i.crashWithin(t, random, 2*time.Second)
		i.up(t)
		if p := i.api(t).WaitPod(t, "together", settled(round)); p.Status.PodIP != ip {
			t.Errorf("round %d: the address is %s, was %s", round, p.Status.PodIP, ip)
		}
		steps := must(t, i.skiff, "exec", "together", "-c", "app", "--", "life", "cat", "/data/steps")
		if n := strings.Count(steps, "prepared"); n != round+1 {
			t.Errorf("round %d: the init container did its work %d times", round, n)
		}
		i.owned(t)
	}
}

// TestCrashWhileDraining kills the daemon while a Pod that is to go still has a
// request to finish.
func TestCrashWhileDraining(t *testing.T) {
	t.Parallel()
	i := start(t)
	address := i.deployWeb(t)
	api := i.api(t)
	api.Update(t, "web", func(d *appsv1.Deployment) {
		d.Spec.Replicas = ptr.To[int32](1)
		d.Spec.Template.Spec.TerminationGracePeriodSeconds = ptr.To(int64(patience / time.Second)) // for the request
	})
	api.WaitRollout(t, "web")
	leaving := slices.Collect(maps.Values(i.webPods(t, 1)))[0]

	broken := keepInFlight(t, address)
	must(t, i.skiff, "delete", "pod", leaving.Name, "--wait=false")
	next := api.WaitPods(t, "app=web", func(pods []corev1.Pod) bool {
		return len(pods) == 2 && slices.ContainsFunc(pods, func(p corev1.Pod) bool {
			return p.UID != leaving.UID && len(p.Status.ContainerStatuses) > 0 && p.Status.ContainerStatuses[0].Ready
		})
	})
	if _, runs := i.running(t)[containerID(leaving)]; !runs {
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
