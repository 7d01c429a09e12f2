package node

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/runtime/container"
	"skiff/runtime/fake"
)

func TestStartsAPod(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.create(newPodObject("a", "web:1"))
		w.untilReady("a")
		pod := w.pod("a")
		if pod.Spec.NodeName != "skiff" || pod.Status.PodIP == "" || pod.Status.HostIP != "10.9.0.1" {
			t.Errorf("status is %+v", pod.Status)
		}
		for _, e := range []string{
			"Scheduled: Successfully assigned default/a to skiff",
			`Pulled: Container image "web:1" already present on machine: using local image sha256:`,
			"Created: Created container: web",
			"Started: Started container web",
		} {
			w.untilEvent(e)
		}
		w.before("add a returned", "write ready")
		if n := w.engine.Calls("Inspect"); n != 0 {
			t.Errorf("the start took %d needless inspections", n)
		}
	})
}

func TestBindingDoesNotHoldUpTheStart(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.engine.Delay("Create", 20*time.Millisecond)
		w.client.PrependReactor("create", "pods", failBinding(5))
		w.create(newPodObject("a", "web:1"))
		w.until(100*time.Millisecond, "the container runs", func() bool {
			list := w.containers()
			return len(list) == 1 && list[0].State == container.Running
		})
		w.until(5*time.Second, "the Pod is bound", func() bool { return w.pod("a").Spec.NodeName == "skiff" })
		w.untilReady("a")
	})
}

func TestDeletesAPodInOrder(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.create(newPodObject("a", "web:1", withEmptyDir, withPreStop("bye")))
		w.untilReady("a")
		volume := filepath.Join(w.dir, "pods", "uid-a", "volumes", "data")
		if info, err := os.Stat(volume); err != nil || info.Mode().Perm() != 0o777 {
			t.Errorf("volume is %v, %v", info, err)
		}
		w.traffic.cargo = 3 * time.Second
		w.remove("a", -1)
		time.Sleep(2900 * time.Millisecond)
		if w.journal.count("stop") != 0 {
			t.Error("stopped although requests were in flight")
		}
		w.untilGone("a")
		w.before("drain a returned", "exec bye")
		w.before("exec bye", "stop 27s")
		w.before("stop", "remove")
		w.before("remove", "delete object, grace 0")
		w.untilEvent("Killing: Stopping container web")
		if _, err := os.Stat(volume); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("volume is left: %v", err)
		}
		if n := len(w.containers()); n != 0 {
			t.Errorf("%d containers are left", n)
		}
	})
}

func TestGraceIsBoundedAndCanBeCut(t *testing.T) {
	deaf := func(container.Spec) fake.Behaviour { return fake.Behaviour{Deaf: true} }
	tests := map[string]struct {
		cargo time.Duration
		again int64 // grace of a second delete, after 5 s; negative: none
		gone  time.Duration
	}{
		"deaf container gets the grace":            {again: -1, gone: 30 * time.Second},
		"drain takes all and two seconds are left": {cargo: time.Hour, again: -1, gone: 32 * time.Second},
		"second delete cuts the stop":              {again: 1, gone: 7 * time.Second},
		"second delete cuts the drain":             {cargo: time.Hour, again: 1, gone: 8 * time.Second},
		"second delete cannot lengthen":            {again: 300, gone: 30 * time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, w *world) {
				w.engine.AddImage("deaf", deaf)
				w.create(newPodObject("a", "deaf"))
				w.untilReady("a")
				w.traffic.cargo = test.cargo
				w.remove("a", -1)
				begun := time.Now()
				if test.again >= 0 {
					time.Sleep(5 * time.Second)
					w.remove("a", test.again)
				}
				w.untilGone("a")
				if took := time.Since(begun); took < test.gone-time.Second || took > test.gone+time.Second/2 {
					t.Errorf("gone after %s, want %s", took, test.gone)
				}
			})
		})
	}
}

func TestForcedDeleteKillsAtOnce(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.engine.AddImage("deaf", func(container.Spec) fake.Behaviour { return fake.Behaviour{Deaf: true} })
		w.create(newPodObject("a", "deaf"))
		w.untilReady("a")
		w.remove("a", 0)
		w.until(time.Second, "nothing is left", func() bool { return len(w.containers()) == 0 })
		w.before("traffic removed", "remove")
		if w.traffic.serves("uid-a") {
			t.Error("still in traffic")
		}
	})
}

func TestForcedDeleteDuringGrace(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.engine.AddImage("deaf", func(container.Spec) fake.Behaviour { return fake.Behaviour{Deaf: true} })
		w.create(newPodObject("a", "deaf"))
		w.untilReady("a")
		w.remove("a", -1)
		time.Sleep(time.Second)
		w.remove("a", 0)
		w.until(time.Second, "nothing is left", func() bool { return len(w.containers()) == 0 })
	})
}

func TestCrashLoop(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.engine.AddImage("crash", func(container.Spec) fake.Behaviour {
			return fake.Behaviour{ExitAfter: time.Second, ExitCode: 3}
		})
		w.create(newPodObject("a", "crash"))
		begun := time.Now()
		// The first restart is immediate, then come 10, 20, 40 s, each after
		// the second that the container runs.
		for i, at := range []time.Duration{0, 1, 12, 33, 74} {
			w.until(time.Minute, "one more attempt", func() bool { return w.journal.count("create web") == i+1 })
			if d := time.Since(begun) - at*time.Second; d < 0 || d > 500*time.Millisecond {
				t.Errorf("attempt %d was made after %s, want %ds", i, time.Since(begun), at)
			}
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		cs := w.pod("a").Status.ContainerStatuses[0]
		if cs.State.Waiting == nil || cs.State.Waiting.Reason != "CrashLoopBackOff" ||
			cs.State.Waiting.Message != "back-off 1m20s restarting failed container=web pod=a_default(uid-a)" {
			t.Errorf("state is %+v", cs.State.Waiting)
		}
		if last := cs.LastTerminationState.Terminated; last == nil || last.ExitCode != 3 || last.Reason != "Error" {
			t.Errorf("last state is %+v", last)
		}
		if cs.RestartCount != 4 {
			t.Errorf("restart count is %d", cs.RestartCount)
		}
		w.untilEvent("BackOff: Back-off restarting failed container web in pod a_default(uid-a)")
		if n := len(w.containers()); n != 2 {
			t.Errorf("%d containers are kept, want the newest and the one before", n)
		}
	})
}

func TestRestartPolicies(t *testing.T) {
	tests := map[string]struct {
		policy corev1.RestartPolicy
		code   int
		phase  corev1.PodPhase
		made   int
	}{
		"never, failed":        {corev1.RestartPolicyNever, 1, corev1.PodFailed, 1},
		"never, succeeded":     {corev1.RestartPolicyNever, 0, corev1.PodSucceeded, 1},
		"on failure, failed":   {corev1.RestartPolicyOnFailure, 1, corev1.PodRunning, 2},
		"on failure, finished": {corev1.RestartPolicyOnFailure, 0, corev1.PodSucceeded, 1},
		"always, finished":     {corev1.RestartPolicyAlways, 0, corev1.PodRunning, 2},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, w *world) {
				w.engine.AddImage("job", func(container.Spec) fake.Behaviour {
					return fake.Behaviour{ExitAfter: time.Second, ExitCode: test.code}
				})
				w.create(newPodObject("a", "job", func(p *corev1.Pod) { p.Spec.RestartPolicy = test.policy }))
				time.Sleep(5 * time.Second)
				synctest.Wait()
				if n := w.journal.count("create web"); n != test.made {
					t.Errorf("%d attempts, want %d", n, test.made)
				}
				if phase := w.pod("a").Status.Phase; phase != test.phase {
					t.Errorf("phase is %s, want %s", phase, test.phase)
				}
				if w.traffic.serves("uid-a") {
					t.Error("a container that has ended gets traffic")
				}
			})
		})
	}
}

func TestRemovedBehindOurBack(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.create(newPodObject("a", "web:1"))
		w.untilReady("a")
		ip := w.pod("a").Status.PodIP
		for attempt := 1; attempt <= 3; attempt++ {
			before := w.containers()
			for _, c := range before {
				w.engine.Vanish(c.ID)
			}
			took := w.until(time.Second, "a new container runs", func() bool {
				list := w.containers()
				return len(list) == 1 && list[0].State == container.Running && list[0].Attempt == attempt && list[0].Address.String() == ip
			})
			if took > 100*time.Millisecond {
				t.Errorf("replaced after %s", took)
			}
			w.untilReady("a")
		}
		if n := w.pod("a").Status.ContainerStatuses[0].RestartCount; n != 3 {
			t.Errorf("restart count is %d", n)
		}
		if w.journal.count("traffic removed") != 3 {
			t.Error("the dead container stayed in traffic")
		}
	})
}

func TestLostEventsAreMadeUpFor(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.create(newPodObject("a", "web:1"))
		w.untilReady("a")
		w.engine.Exit(w.containers()[0].ID, 1)
		w.engine.LoseEvents()
		w.until(time.Second, "restarted", func() bool { return w.journal.count("create web") == 2 })
		w.untilReady("a")
	})
}

func TestEngineOutOfOrder(t *testing.T) {
	boom := errors.New("no answer")
	for _, call := range []string{"Create", "Start", "Inspect", "Stop", "Remove", "Image"} {
		t.Run(call, func(t *testing.T) {
			play(t, func(t *testing.T, w *world) {
				w.engine.Fail(call, boom, boom, boom)
				w.create(newPodObject("a", "web:1"))
				w.until(time.Minute, "ready", func() bool { return ready(w.pod("a")) })
				w.engine.Fail(call, boom, boom)
				w.engine.Exit(w.containers()[0].ID, 1)
				w.until(time.Minute, "ready again", func() bool {
					p := w.pod("a")
					return ready(p) && p.Status.ContainerStatuses[0].RestartCount > 0
				})
				w.engine.Fail(call, boom, boom)
				w.remove("a", -1)
				w.untilGone("a")
				if n := len(w.containers()); n != 0 {
					t.Errorf("%d containers are left", n)
				}
			})
		})
	}
}

func TestProgramThatCannotBeRun(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.engine.AddImage("bad", func(container.Spec) fake.Behaviour {
			return fake.Behaviour{StartError: `exec: "nothing": executable file not found`}
		})
		w.create(newPodObject("a", "bad"))
		time.Sleep(5 * time.Second)
		synctest.Wait()
		cs := w.pod("a").Status.ContainerStatuses[0]
		if cs.State.Waiting == nil || cs.State.Waiting.Reason != "CrashLoopBackOff" {
			t.Errorf("state is %+v", cs.State)
		}
		if last := cs.LastTerminationState.Terminated; last == nil || last.Reason != "StartError" || last.ExitCode != 128 {
			t.Errorf("last state is %+v", last)
		}
		if n := w.journal.count("create web"); n != 2 {
			t.Errorf("%d attempts", n)
		}
		w.untilEvent(`Failed: Error: start container: exec: "nothing"`)
		w.remove("a", -1)
		w.untilGone("a")
	})
}

func TestDeletedWhileStarting(t *testing.T) {
	for _, slow := range []string{"Image", "Create", "Start"} {
		t.Run(slow, func(t *testing.T) {
			play(t, func(t *testing.T, w *world) {
				w.engine.Delay(slow, 10*time.Second)
				w.create(newPodObject("a", "web:1"))
				time.Sleep(time.Second)
				w.remove("a", -1)
				begun := time.Now()
				w.untilGone("a")
				if took := time.Since(begun); took > time.Second {
					t.Errorf("took %s", took)
				}
				if n := len(w.containers()); n != 0 {
					t.Errorf("%d containers are left", n)
				}
			})
		})
	}
}

func TestSeveralContainersShareASandbox(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		two := func(p *corev1.Pod) {
			second := p.Spec.Containers[0]
			second.Name = "log"
			p.Spec.Containers = append(p.Spec.Containers, second)
		}
		w.create(newPodObject("a", "web:1", two))
		w.untilReady("a")
		w.before("create POD", "create web")
		if n := len(w.containers()); n != 3 {
			t.Errorf("%d containers", n)
		}
		// Without the sandbox, its containers have no network and are replaced.
		for _, c := range w.containers() {
			if c.Name == container.SandboxName {
				w.engine.Vanish(c.ID)
			}
		}
		w.until(time.Minute, "a new sandbox", func() bool { return w.journal.count("create POD") == 2 })
		w.untilReady("a")
		if w.journal.count("create web") != 2 || w.journal.count("create log") != 2 {
			t.Error("the containers were not replaced with their sandbox")
		}
		w.remove("a", -1)
		w.untilGone("a")
		if n := len(w.containers()); n != 0 {
			t.Errorf("%d containers are left", n)
		}
	})
}

func TestReadinessProbe(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		healthy := w.checked("probed", true)
		w.create(newPodObject("a", "probed", func(p *corev1.Pod) {
			p.Spec.Containers[0].ReadinessProbe = execProbe(1, 3)
		}))
		w.untilReady("a")
		healthy.Store(false)
		took := w.until(10*time.Second, "not ready", func() bool { return !ready(w.pod("a")) })
		if took < time.Second {
			t.Errorf("three failures took %s", took)
		}
		if w.traffic.serves("uid-a") {
			t.Error("an unready Pod gets traffic")
		}
		if last := w.journal.count("write unready") - 1; w.journal.index("traffic removed", 0) > w.journal.index("write unready", last) {
			t.Error("reported before traffic had let it go")
		}
		w.untilEvent("Unhealthy: Readiness probe failed: no")
		if m := condition(w.pod("a").Status.Conditions, corev1.PodReady).Message; m != "containers with unready status: [web]" {
			t.Errorf("message is %q", m)
		}
		healthy.Store(true)
		w.untilReady("a")
		if !w.traffic.serves("uid-a") {
			t.Error("a ready Pod gets no traffic")
		}
	})
}

func TestLivenessProbeRestarts(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.engine.AddImage("probed", func(spec container.Spec) fake.Behaviour {
			code := 0
			if spec.Attempt == 0 {
				code = 1
			}
			return fake.Behaviour{Exec: func(context.Context, []string) ([]byte, int, error) { return []byte("sick"), code, nil }}
		})
		w.create(newPodObject("a", "probed", func(p *corev1.Pod) {
			p.Spec.Containers[0].LivenessProbe = execProbe(1, 2)
		}))
		w.until(20*time.Second, "restarted", func() bool { return w.journal.count("create web") == 2 })
		w.untilReady("a")
		w.untilEvent("Unhealthy: Liveness probe failed: sick")
		w.untilEvent("Killing: Container web failed liveness probe, will be restarted")
		w.before("traffic removed", "stop")
	})
}

func TestStartupProbeHoldsTheOthersBack(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		begun := time.Now()
		w.engine.AddImage("slow", func(container.Spec) fake.Behaviour {
			return fake.Behaviour{Exec: func(_ context.Context, cmd []string) ([]byte, int, error) {
				if cmd[0] == "start" && time.Since(begun) < 5*time.Second {
					return nil, 1, nil
				}
				return nil, 0, nil
			}}
		})
		w.create(newPodObject("a", "slow", func(p *corev1.Pod) {
			p.Spec.Containers[0].StartupProbe = execProbe(1, 30)
			p.Spec.Containers[0].StartupProbe.Exec.Command = []string{"start"}
			p.Spec.Containers[0].ReadinessProbe = execProbe(1, 3)
		}))
		w.untilReady("a")
		if took := time.Since(begun); took < 5*time.Second || took > 7*time.Second {
			t.Errorf("ready after %s", took)
		}
		if started := w.pod("a").Status.ContainerStatuses[0].Started; started == nil || !*started {
			t.Error("not reported as started")
		}
	})
}

func TestPostStart(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.engine.AddImage("hooked", func(spec container.Spec) fake.Behaviour {
			return fake.Behaviour{Exec: func(context.Context, []string) ([]byte, int, error) {
				if spec.Attempt == 0 {
					return []byte("broken"), 1, nil
				}
				return nil, 0, nil
			}}
		})
		w.create(newPodObject("a", "hooked", func(p *corev1.Pod) {
			p.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PostStart: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"hello"}}}}
		}))
		w.untilReady("a")
		if n := w.journal.count("create web"); n != 2 {
			t.Errorf("%d attempts", n)
		}
		w.untilEvent("FailedPostStartHook: PostStartHook failed")
	})
}

func TestHTTPHook(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		asked := make(chan string, 1)
		w.engine.AddImage("hooked", func(container.Spec) fake.Behaviour {
			return fake.Behaviour{Dial: func(_ context.Context, port int) (net.Conn, error) {
				here, there := net.Pipe()
				go func() {
					defer there.Close()
					buf := make([]byte, 4096)
					n, _ := there.Read(buf)
					asked <- strings.SplitN(string(buf[:n]), "\r\n", 2)[0]
					_, _ = there.Write([]byte("HTTP/1.1 500 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
				}()
				return here, nil
			}}
		})
		w.create(newPodObject("a", "hooked", func(p *corev1.Pod) {
			get := &corev1.HTTPGetAction{Path: "/hello?x=1"}
			get.Port.StrVal, get.Port.Type = "http", 1
			p.Spec.Containers[0].Ports = []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}
			p.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PostStart: &corev1.LifecycleHandler{HTTPGet: get}}
		}))
		w.untilReady("a")
		if line := <-asked; line != "GET /hello?x=1 HTTP/1.1" {
			t.Errorf("asked %q", line)
		}
	})
}

func TestImageChangeRestartsTheContainer(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.engine.AddImage("web:2", fake.Run)
		w.create(newPodObject("a", "web:1"))
		w.untilReady("a")
		pod := w.pod("a")
		pod.Spec.Containers[0].Image = "web:2"
		if _, err := w.client.CoreV1().Pods("default").Update(context.Background(), pod, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		w.until(10*time.Second, "the new image runs", func() bool {
			p := w.pod("a")
			return ready(p) && p.Status.ContainerStatuses[0].Image == "web:2"
		})
		w.untilEvent("Killing: Container web definition changed, will be restarted")
		w.before("traffic removed", "stop")
	})
}

func TestFinalizersSeeTheEnd(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.create(newPodObject("a", "web:1", func(p *corev1.Pod) { p.Finalizers = []string{"example.com/wait"} }))
		w.untilReady("a")
		w.remove("a", -1)
		w.until(time.Minute, "the end is reported", func() bool {
			st := w.pod("a").Status
			return st.Phase == corev1.PodSucceeded && st.ContainerStatuses[0].State.Terminated != nil
		})
		w.until(time.Second, "nothing is left", func() bool { return len(w.containers()) == 0 })
		pod := w.pod("a")
		pod.Finalizers = nil
		if err := w.client.Tracker().Delete(pods, "default", "a"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
	})
}

func TestAddressesComeBack(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		for range 260 { // more than the range has
			w.create(newPodObject("a", "web:1"))
			w.untilReady("a")
			w.remove("a", -1)
			w.untilGone("a")
		}
	})
}

func TestMakesTheNode(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		node, err := w.client.CoreV1().Nodes().Get(context.Background(), "skiff", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if node.Labels["kubernetes.io/arch"] != "amd64" || node.Status.NodeInfo.ContainerRuntimeVersion != "docker://20.10.24" {
			t.Errorf("node is %+v", node)
		}
		if cpu := node.Status.Capacity[corev1.ResourceCPU]; cpu.Value() != 2 {
			t.Errorf("capacity is %v", node.Status.Capacity)
		}
	})
}
