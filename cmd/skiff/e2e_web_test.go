package main_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// webManifest is the example's, on whichever node port is free, with all the time
// for a rollout and for a probe that a busy machine takes, and with a volume, so
// that there is something on disk to clean up.
func webManifest(t *testing.T) string {
	t.Helper()
	text := read(t, "../../examples/web/web.yaml")
	for _, change := range [][2]string{
		{"    nodePort: 30080\n", ""},
		{"  progressDeadlineSeconds: 15\n", ""},
		{"          periodSeconds: 1\n", "          periodSeconds: 1\n          timeoutSeconds: 10\n"},
		{"        ports:\n", "        volumeMounts: [{name: scratch, mountPath: /scratch}]\n        ports:\n"},
		{"      containers:\n", "      volumes: [{name: scratch, emptyDir: {}}]\n      containers:\n"},
	} {
		if !strings.Contains(text, change[0]) {
			t.Fatalf("the example has no line %q", change[0])
		}
		text = strings.Replace(text, change[0], change[1], 1)
	}
	return text
}

// deployWeb applies the example and gives the address that it answers on.
func (i *instance) deployWeb(t *testing.T) (address string) {
	t.Helper()
	file := i.write(t, "web.yaml", webManifest(t))
	must(t, i.skiff, "apply", "-f", file)
	must(t, i.skiff, "rollout", "status", "-f", file)
	address = i.nodePort(t, "web")
	i.answers(t, address)
	return address
}

func (i *instance) nodePort(t *testing.T, service string) string {
	t.Helper()
	return "127.0.0.1:" + must(t, i.skiff, "get", "service", service, "-o", "jsonpath={.spec.ports[0].nodePort}")
}

// answers waits until the address answers and gives the Pod that did.
func (i *instance) answers(t *testing.T, address string) (pod string) {
	t.Helper()
	eventually(t, func() error {
		text, err := fetch(t.Context(), "http://"+address)
		if err != nil {
			return err
		}
		if _, err = fmt.Sscanf(text, "version %s on %s", new(string), &pod); err != nil {
			return fmt.Errorf("answer %q: %w", text, err)
		}
		return nil
	})
	return pod
}

// fetch asks on a connection of its own.
func fetch(ctx context.Context, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	req.Close = true
	answer, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, text)
	}
	return string(text), err
}

// webPods waits until the example has n Pods, all of them ready.
func (i *instance) webPods(t *testing.T, n int) map[string]corev1.Pod {
	t.Helper()
	return i.readyPods(t, "app=web", n)
}

// readyPods waits until n Pods match, all of them ready, and gives them by UID.
// A daemon that has just started knows what its predecessor knew, so each Pod's
// container must be one that the engine runs.
func (i *instance) readyPods(t *testing.T, selector string, n int) map[string]corev1.Pod {
	t.Helper()
	api := i.api(t)
	var found map[string]corev1.Pod
	eventually(t, func() error {
		found = map[string]corev1.Pod{}
		for _, p := range api.WaitPods(t, selector, func(pods []corev1.Pod) bool { return len(pods) == n && !slices.ContainsFunc(pods, notReady) }) {
			found[string(p.UID)] = p
		}
		running := i.running(t)
		for uid, p := range found {
			if _, runs := running[containerID(p)]; !runs {
				return fmt.Errorf("Pod %s (%s) is ready without its container", p.Name, uid)
			}
		}
		return nil
	})
	return found
}

func notReady(p corev1.Pod) bool {
	return p.DeletionTimestamp != nil || len(p.Status.ContainerStatuses) == 0 ||
		slices.ContainsFunc(p.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool { return !c.Ready })
}

// containerID is the ID, as the engine knows it, of a Pod's first container.
func containerID(p corev1.Pod) string {
	return strings.TrimPrefix(p.Status.ContainerStatuses[0].ContainerID, "docker://")
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
