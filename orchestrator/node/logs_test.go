package node

import (
	"cmp"
	"context"
	"io"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"skiff/runtime/container"
	"skiff/runtime/fake"
)

func TestLogs(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.engine.AddImage("talk", func(s container.Spec) fake.Behaviour {
			b := fake.Behaviour{Output: []string{"attempt " + string(rune('0'+s.Attempt)), "second line"}}
			if s.Attempt == 0 {
				b.ExitAfter, b.ExitCode = time.Second, 1
			}
			return b
		})
		w.create(newPodObject("a", "talk"))
		time.Sleep(3 * time.Second)
		w.untilReady("a")
		one, four := int64(1), int64(4)
		tests := map[string]struct {
			options corev1.PodLogOptions
			want    string
			err     string
		}{
			"all":      {want: "attempt 1\nsecond line\n"},
			"tail":     {options: corev1.PodLogOptions{TailLines: &one}, want: "second line\n"},
			"limit":    {options: corev1.PodLogOptions{LimitBytes: &four}, want: "atte"},
			"previous": {options: corev1.PodLogOptions{Container: "web", Previous: true}, want: "attempt 0\nsecond line\n"},
			"unknown":  {options: corev1.PodLogOptions{Container: "x"}, err: `container "x" in pod "a" is waiting to start: ContainerCreating`},
		}
		for name, test := range tests {
			test.options.Container = cmp.Or(test.options.Container, "web")
			stream, err := w.worker.Logs(context.Background(), w.pod("a"), &test.options)
			if test.err != "" {
				if !apierrors.IsBadRequest(err) || err.Error() != test.err {
					t.Errorf("%s: error is %v", name, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			data, err := io.ReadAll(stream)
			if err != nil || string(data) != test.want {
				t.Errorf("%s: read %q, %v", name, data, err)
			}
			if err := stream.Close(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestLogsOfAPodThatWaits(t *testing.T) {
	t.Parallel()
	pod := newPodObject("a", "web:1")
	waiting := func(reason string) *corev1.Pod {
		p := pod.DeepCopy()
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "web", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}}}
		return p
	}
	tests := map[string]struct {
		pod      *corev1.Pod
		previous bool
		want     string
	}{
		"no status yet": {pod: pod, want: `container "web" in pod "a" is waiting to start: ContainerCreating`},
		"pull failed":   {pod: waiting("ErrImagePull"), want: `container "web" in pod "a" is waiting to start: image can't be pulled`},
		"back-off":      {pod: waiting("ImagePullBackOff"), want: `container "web" in pod "a" is waiting to start: trying and failing to pull image`},
		"no previous":   {pod: pod, previous: true, want: `previous terminated container "web" in pod "a" not found`},
	}
	for name, test := range tests {
		if _, err := logID(test.pod, "web", test.previous); !apierrors.IsBadRequest(err) || err.Error() != test.want {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}
