package skifftest

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// listener is a test that keeps what it is told.
type listener struct {
	testing.TB
	heard strings.Builder
}

func (l *listener) Logf(format string, args ...any) { fmt.Fprintf(&l.heard, format+"\n", args...) }

// TestTells: why a container ends is in its exit code and in what it wrote, which
// are gone with the instance.
func TestTells(t *testing.T) {
	t.Parallel()
	i := New(t)
	_, err := i.Client.CoreV1().Pods(Namespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "ends"},
		Spec: corev1.PodSpec{
			InitContainers: []corev1.Container{{Name: "first", Image: "skiff-example/web:1", Env: []corev1.EnvVar{{Name: "LATENCY", Value: "never"}}}},
			Containers:     []corev1.Container{{Name: "then", Image: "skiff-example/web:1"}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	i.WaitPod(t, "ends", func(p *corev1.Pod) bool {
		for _, s := range p.Status.InitContainerStatuses {
			return s.State.Waiting != nil && s.State.Waiting.Reason == "CrashLoopBackOff"
		}
		return false
	})

	l := &listener{TB: t}
	i.tell(l)
	for _, want := range []string{"CrashLoopBackOff", "ended before (Error, 1)", "container first:\n", `LATENCY`} {
		if !strings.Contains(l.heard.String(), want) {
			t.Errorf("%q is not in what is told:\n%s", want, l.heard.String())
		}
	}
}
