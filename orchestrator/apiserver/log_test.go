package apiserver

import (
	"bufio"
	"context"
	"io"
	"net/url"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// scriptedLogs hands out a pipe for each stream that is asked for.
type scriptedLogs struct {
	opened chan *corev1.PodLogOptions
	writer chan *io.PipeWriter
}

func (s *scriptedLogs) Logs(_ context.Context, pod *corev1.Pod, options *corev1.PodLogOptions) (io.ReadCloser, error) {
	if options.Previous {
		return nil, apierrors.NewBadRequest("previous terminated container " + options.Container + " in pod " + pod.Name + " not found")
	}
	reader, writer := io.Pipe()
	s.opened <- options
	s.writer <- writer
	return reader, nil
}

func newScriptedLogs() *scriptedLogs {
	return &scriptedLogs{opened: make(chan *corev1.PodLogOptions, 10), writer: make(chan *io.PipeWriter, 10)}
}

func podOf(containers ...string) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: strings.Join(append([]string{"p"}, containers...), "-")}}
	for _, name := range containers {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: name, Image: "x"})
	}
	return pod
}

func TestLogs(t *testing.T) {
	t.Parallel()
	for _, overTLS := range []bool{true, false} {
		logs := newScriptedLogs()
		api := newTestAPI(t, overTLS, func(o *Options) { o.Logs = logs })
		client := api.proto(t).CoreV1().Pods("default")
		for _, pod := range []*corev1.Pod{podOf("a"), podOf("a", "b")} {
			if _, err := client.Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		stream, err := client.GetLogs("p-a", &corev1.PodLogOptions{Follow: true, TailLines: new(int64(7)), Timestamps: true}).Stream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if o := <-logs.opened; o.Container != "a" || !o.Follow || *o.TailLines != 7 || !o.Timestamps {
			t.Errorf("options %+v", o)
		}
		writer, lines := <-logs.writer, bufio.NewReader(stream)
		for _, want := range []string{"one\n", "two\n"} { // each must arrive before the next is written
			if _, err := writer.Write([]byte(want)); err != nil {
				t.Fatal(err)
			}
			if got, err := lines.ReadString('\n'); err != nil || got != want {
				t.Errorf("%q, %v", got, err)
			}
		}
		if err := stream.Close(); err != nil {
			t.Error(err)
		}
		for { // the source is closed when the client leaves
			if _, err := writer.Write([]byte("nobody listens\n")); err != nil {
				break
			}
		}
		for name, row := range map[string]struct {
			pod     string
			options corev1.PodLogOptions
			want    string
		}{
			"which container": {"p-a-b", corev1.PodLogOptions{}, "a container name must be specified for pod p-a-b, choose one of: [a b]"},
			"no such one":     {"p-a", corev1.PodLogOptions{Container: "z"}, "container z is not valid for pod p-a"},
			"no such pod":     {"none", corev1.PodLogOptions{}, `pods "none" not found`},
			"previous":        {"p-a", corev1.PodLogOptions{Previous: true}, "previous terminated container a in pod p-a not found"},
			"bad tail":        {"p-a", corev1.PodLogOptions{TailLines: new(int64(-1))}, "tailLines: Invalid value: -1"},
		} {
			if _, err := client.GetLogs(row.pod, &row.options).Stream(t.Context()); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		go func() { _, _ = (<-logs.writer).Write([]byte("0123456789")) }()
		if raw, err := client.GetLogs("p-a-b", &corev1.PodLogOptions{Container: "b", LimitBytes: new(int64(4))}).Do(t.Context()).Raw(); err != nil || string(raw) != "0123" {
			t.Errorf("limited: %q, %v", raw, err)
		}
	}
}

func FuzzLogOptions(f *testing.F) {
	f.Add("container=a&follow=true&tailLines=5&sinceSeconds=3&limitBytes=1")
	f.Add("sinceTime=2020-01-01T00:00:00Z&sinceSeconds=1&previous&timestamps=0&stream=All")
	f.Add("tailLines=-1&limitBytes=99999999999999999999")
	f.Fuzz(func(t *testing.T, text string) {
		query, err := url.ParseQuery(text)
		if err != nil {
			return
		}
		o, err := parseLogOptions(query)
		if err == nil && (o.TailLines != nil && *o.TailLines < 0 || o.LimitBytes != nil && *o.LimitBytes < 1 || o.SinceSeconds != nil && o.SinceTime != nil) {
			t.Errorf("%q gave %+v", text, o)
		}
	})
}

func TestChooseContainer(t *testing.T) {
	t.Parallel()
	beside := func(pod *corev1.Pod) *corev1.Pod {
		pod.Spec.InitContainers = []corev1.Container{{Name: "init"}}
		pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug"}}}
		return pod
	}
	for _, row := range []struct {
		pod          *corev1.Pod
		wanted, want string
	}{
		{podOf("a"), "", "a"},
		{beside(podOf("a")), "", "a"},
		{beside(podOf("a")), "init", "init"},
		{beside(podOf("a")), "debug", "debug"},
		{beside(podOf("a")), "z", "container z is not valid for pod p-a"},
		{beside(podOf("a", "b")), "b", "b"},
		{beside(podOf("a", "b")), "", "a container name must be specified for pod p-a-b, choose one of: [init a b debug]"},
	} {
		got, err := chooseContainer(row.pod, row.wanted)
		if err != nil {
			got = err.Error()
		}
		if got != row.want {
			t.Errorf("%q of %s is %q, want %q", row.wanted, row.pod.Name, got, row.want)
		}
	}
}
