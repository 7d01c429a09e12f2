package node

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"skiff/runtime/container"
	"skiff/runtime/fake"
)

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

// A hook of the kind that the API has kept and that nobody runs fails: at the start
// the container is ended for it, at the end it ends without.
func TestHookOfNoKind(t *testing.T) {
	none := &corev1.LifecycleHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(80)}}
	const why = "invalid handler: only exec, httpGet and sleep can be hooks"
	play(t, func(t *testing.T, w *world) {
		w.create(newPodObject("a", "web:1", func(p *corev1.Pod) { p.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PostStart: none} }))
		w.untilEvent("FailedPostStartHook: PostStartHook failed: " + why)
		w.untilEvent("Killing: FailedPostStartHook")
		w.create(newPodObject("b", "web:1", func(p *corev1.Pod) { p.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PreStop: none} }))
		w.untilReady("b")
		w.remove("b", -1)
		w.untilGone("b")
		w.untilEvent("FailedPreStopHook: PreStopHook failed: " + why)
	})
}

// What comes after a container waits for its postStart hook while that runs, and no
// longer: not for one that fails each time, nor for an image that there is not.
func TestPostStartDetains(t *testing.T) {
	for what, image := range map[string]string{"fails": "hooked", "has no image": "none:1"} {
		t.Run(what, func(t *testing.T) {
			play(t, func(t *testing.T, w *world) {
				w.engine.AddImage("hooked", func(container.Spec) fake.Behaviour {
					return fake.Behaviour{Exec: func(ctx context.Context, _ []string) ([]byte, int, error) {
						pause(ctx, 5*time.Second)
						return []byte("broken"), 1, nil
					}}
				})
				w.create(newPodObject("a", image, func(p *corev1.Pod) {
					next := p.Spec.Containers[0]
					next.Name, next.Image = "next", "web:1"
					p.Spec.Containers = append(p.Spec.Containers, next)
					p.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PostStart: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"hello"}}}}
				}))
				took := w.until(10*time.Second, "the next runs", func() bool { return w.lives("a") != "" && strings.HasSuffix(w.lives("a"), "next 0 running") })
				if waited := took >= 4*time.Second; waited != (image == "hooked") {
					t.Errorf("it began after %s", took)
				}
			})
		})
	}
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
