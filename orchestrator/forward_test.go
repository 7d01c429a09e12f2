package orchestrator_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	clientforward "k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"

	"skiff/orchestrator/skifftest"
)

// forwarded asks a port of the Pod through the API.
func (l life) forwarded(pod *corev1.Pod, port int) string {
	l.Helper()
	forward := forwardPort(l.T, l.Instance, pod.Name, port)
	answer, err := http.Get(forward)
	if err != nil {
		l.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		l.Fatal(err)
	}
	return string(text)
}

// forwardPort keeps a port of the Pod reachable, at the URL that it returns,
// until the test ends.
func forwardPort(t *testing.T, i *skifftest.Instance, pod string, port int) string {
	t.Helper()
	req := i.Client.CoreV1().RESTClient().Post().Resource("pods").Namespace("default").Name(pod).SubResource("portforward")
	dialer, err := clientforward.NewSPDYOverWebsocketDialer(req.URL(), i.Config)
	if err != nil {
		t.Fatal(err)
	}
	transport, upgrade, err := spdy.RoundTripperFor(i.Config)
	if err != nil {
		t.Fatal(err)
	}
	target := req.URL()
	plain := spdy.NewDialer(upgrade, &http.Client{Transport: transport}, http.MethodPost, &url.URL{Scheme: target.Scheme, Host: target.Host, Path: target.Path})
	either := clientforward.NewFallbackDialer(dialer, plain, func(error) bool { return false })
	stop, ready, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	f, err := clientforward.New(either, []string{fmt.Sprintf("0:%d", port)}, stop, ready, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	go func() { ended <- f.ForwardPorts() }()
	t.Cleanup(func() {
		close(stop)
		if err := <-ended; err != nil {
			t.Errorf("the forwarding ended with %v", err)
		}
	})
	select {
	case <-ready:
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
	}
	ports, err := f.GetPorts()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("http://127.0.0.1:%d/", ports[0].Local)
}

// A port that is forwarded to a Pod survives the Pod: its successor answers.
func TestForwardedPortSurvivesARollout(t *testing.T) {
	t.Parallel()
	images(t)
	i := skifftest.New(t)
	i.Deploy(t, web(1))
	i.WaitRollout(t, "web")
	first := i.WaitPods(t, "app=web", func(pods []corev1.Pod) bool { return len(pods) == 1 && podReady(&pods[0]) })[0]
	address := forwardPort(t, i, first.Name, 8080)
	for version := 1; version <= 3; version++ {
		if version > 1 {
			i.Update(t, "web", setEnv("VERSION", fmt.Sprint(version)))
			i.WaitRollout(t, "web")
		}
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		answer, err := client.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || !strings.Contains(string(text), fmt.Sprintf("version %d", version)) {
			t.Errorf("after update %d: %q, %v", version, text, err)
		}
	}
}
