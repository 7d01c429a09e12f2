package node

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/runtime/container"
	"skiff/runtime/fake"
)

func TestPullPolicy(t *testing.T) {
	tests := map[string]struct {
		policy corev1.PullPolicy
		local  bool // built here
		pulled bool // pulled before
		remote bool
		pulls  int
		event  string
		reason string // of the wait; empty: it runs
	}{
		"always, built here": {policy: corev1.PullAlways, local: true, event: "Pulled: Container image \"app:latest\" already present on machine: using local image sha256:"},
		"always, pulled before": {
			policy: corev1.PullAlways, pulled: true, remote: true, pulls: 1, event: `Pulled: Successfully pulled image "app:latest" in `},
		"always, pulled before, registry gone": {
			policy: corev1.PullAlways, pulled: true, pulls: 1, event: "could not be pulled but is present on machine: using local image sha256:"},
		"always, unknown":         {policy: corev1.PullAlways, pulls: 1, reason: "ErrImagePull", event: `Failed: Failed to pull image "app:latest": `},
		"if not present, present": {policy: corev1.PullIfNotPresent, pulled: true, remote: true, event: `Pulled: Container image "app:latest" already present on machine`},
		"if not present, remote":  {policy: corev1.PullIfNotPresent, remote: true, pulls: 1, event: `Pulling: Pulling image "app:latest"`},
		"if not present, nowhere": {policy: corev1.PullIfNotPresent, pulls: 1, reason: "ErrImagePull", event: "Failed: Error: ErrImagePull"},
		"never, present":          {policy: corev1.PullNever, local: true, event: "already present on machine"},
		"never, remote":           {policy: corev1.PullNever, remote: true, reason: "ErrImageNeverPull", event: `ErrImageNeverPull: Container image "app:latest" is not present with pull policy of Never`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, w *world) {
				if test.local {
					w.engine.AddImage("app:latest", fake.Run)
				}
				if test.pulled {
					w.engine.AddRemote("app:latest", fake.Run)
					if _, err := w.engine.Engine.Pull(context.Background(), "app:latest", container.Credential{}, func(int64, int64) {}); err != nil {
						t.Fatal(err)
					}
				}
				if !test.remote {
					w.engine.Fail("Pull", errors.New("no route to host"))
				} else if !test.pulled {
					w.engine.AddRemote("app:latest", fake.Run)
				}
				before := w.engine.Calls("Pull")
				w.create(newPodObject("a", "app:latest", func(p *corev1.Pod) { p.Spec.Containers[0].ImagePullPolicy = test.policy }))
				time.Sleep(time.Second)
				synctest.Wait()
				w.untilEvent(test.event)
				if n := w.engine.Calls("Pull") - before; n != test.pulls {
					t.Errorf("%d pulls, want %d", n, test.pulls)
				}
				state := w.pod("a").Status.ContainerStatuses[0].State
				switch {
				case test.reason == "" && state.Running == nil:
					t.Errorf("it does not run: %+v", state.Waiting)
				case test.reason != "" && (state.Waiting == nil || state.Waiting.Reason != test.reason):
					t.Errorf("state is %+v", state)
				}
			})
		})
	}
}

func TestInvalidImageName(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.create(newPodObject("a", "web:1:2"))
		w.until(time.Second, "reported", func() bool {
			s := w.pod("a").Status.ContainerStatuses
			return len(s) == 1 && s[0].State.Waiting != nil && s[0].State.Waiting.Reason == "InvalidImageName"
		})
		w.untilEvent(`InspectFailed: Failed to apply default image tag "web:1:2": couldn't parse image name "web:1:2": invalid reference format`)
	})
}

func TestPullBackOff(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.create(newPodObject("a", "app:1"))
		waiting := func() *corev1.ContainerStateWaiting { return w.pod("a").Status.ContainerStatuses[0].State.Waiting }
		time.Sleep(time.Second)
		synctest.Wait()
		if r := waiting(); r.Reason != "ErrImagePull" || !strings.Contains(r.Message, "manifest unknown") {
			t.Errorf("state is %+v", r)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if r := waiting(); r.Reason != "ImagePullBackOff" || !strings.HasPrefix(r.Message, `Back-off pulling image "app:1": ErrImagePull: pull image`) {
			t.Errorf("state is %+v", r)
		}
		w.untilEvent(`BackOff: Back-off pulling image "app:1"`)
		w.untilEvent("Failed: Error: ImagePullBackOff")
		time.Sleep(31 * time.Second) // tries at 0, 10 and 30 s
		if n := w.engine.Calls("Pull"); n != 3 {
			t.Errorf("%d pulls after 34 s, want 3", n)
		}
		w.engine.AddRemote("app:1", fake.Run)
		w.until(time.Minute, "ready", func() bool { return ready(w.pod("a")) })
	})
}

func TestPullIsSharedAndShowsProgress(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.engine.AddRemote("app:1", fake.Run)
		w.engine.Delay("Pull", 12*time.Second)
		w.create(newPodObject("a", "app:1"))
		w.create(newPodObject("b", "app:1"))
		w.create(newPodObject("c", "app:1"))
		time.Sleep(time.Second)
		w.remove("a", -1) // who made the call leaves; the others go on waiting
		w.untilGone("a")
		w.until(20*time.Second, "both are ready", func() bool { return ready(w.pod("b")) && ready(w.pod("c")) })
		if n := w.engine.Calls("Pull"); n != 1 {
			t.Errorf("%d pulls", n)
		}
	})
}

// slowImages answers when it is told to.
type slowImages struct {
	mu       sync.Mutex // guards calls
	calls    int
	answer   chan struct{}
	progress [2]int64
}

func (s *slowImages) Image(ctx context.Context, ref string) (container.Image, error) {
	return s.Pull(ctx, ref, container.Credential{}, func(int64, int64) {})
}

func (s *slowImages) Pull(ctx context.Context, _ string, _ container.Credential, progress func(done, total int64)) (container.Image, error) {
	s.mu.Lock()
	s.calls++
	s.mu.Unlock()
	progress(s.progress[0], s.progress[1])
	select {
	case <-s.answer:
		return container.Image{ID: "sha256:1"}, nil
	case <-ctx.Done():
		return container.Image{}, ctx.Err()
	}
}

func TestImagesAreAskedForOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		engine := &slowImages{answer: make(chan struct{}), progress: [2]int64{3, 12}}
		i := newImages(engine)
		defer i.wait()
		var told []int64
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				if _, err := i.local(context.Background(), "x"); err != nil {
					t.Error(err)
				}
			})
		}
		all.Go(func() {
			if _, err := i.pull(context.Background(), "y", container.Credential{}, time.Second, func(have, total int64) { told = append(told, have, total) }); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(1500 * time.Millisecond)
		close(engine.answer)
		all.Wait()
		if _, err := i.local(context.Background(), "x"); err != nil || engine.calls != 2 {
			t.Errorf("%d calls, %v", engine.calls, err)
		}
		if len(told) != 2 || told[0] != 3 || told[1] != 12 {
			t.Errorf("progress is %v", told)
		}
		time.Sleep(imageFresh)
		if _, err := i.local(context.Background(), "x"); err != nil || engine.calls != 3 {
			t.Errorf("an answer of %s ago was used again", imageFresh)
		}
	})
}

func TestPullEndsWithItsLastWaiter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		engine := &slowImages{answer: make(chan struct{})}
		i := newImages(engine)
		ctx, cancel := context.WithCancel(context.Background())
		go func() { time.Sleep(time.Second); cancel() }()
		if _, err := i.pull(ctx, "y", container.Credential{}, time.Minute, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("answer is %v", err)
		}
		i.wait() // does not return while the call goes on
		close(engine.answer)
		if _, err := i.pull(context.Background(), "y", container.Credential{}, time.Minute, nil); err != nil {
			t.Errorf("the next one joined a call that was cut short: %v", err)
		}
	})
}
