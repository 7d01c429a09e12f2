package node

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/runtime/container"
	"skiff/runtime/fake"
)

// All containers of a Pod together say no more at their end than its status holds.
func TestMessagesShareTheRoom(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.engine.AddImage("talkative", func(container.Spec) fake.Behaviour {
			return fake.Behaviour{Output: []string{strings.Repeat("x", 2000)}, ExitAfter: time.Second, ExitCode: 1}
		})
		w.create(newPodObject("a", "talkative", func(p *corev1.Pod) {
			p.Spec.RestartPolicy = corev1.RestartPolicyNever
			p.Spec.Containers[0].TerminationMessagePolicy = corev1.TerminationMessageFallbackToLogsOnError
			for i := range 7 {
				c := p.Spec.Containers[0]
				c.Name = fmt.Sprint("c", i)
				p.Spec.Containers = append(p.Spec.Containers, c)
			}
		}))
		w.until(time.Minute, "failed", func() bool { return w.pod("a").Status.Phase == corev1.PodFailed })
		for _, cs := range w.pod("a").Status.ContainerStatuses {
			if n := len(cs.State.Terminated.Message); n != 12<<10/8 {
				t.Errorf("%s says %d bytes", cs.Name, n)
			}
		}
	})
}
