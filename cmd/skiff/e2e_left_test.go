package main_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// running gives the containers that run, by ID, with their Pods' UID.
func (i *instance) running(t *testing.T) (uids map[string]string) {
	t.Helper()
	return running(i.containers(t))
}

func running(containers []engineContainer) (uids map[string]string) {
	uids = map[string]string{}
	for _, c := range containers {
		if c.State == "running" {
			uids[c.ID] = c.UID
		}
	}
	return uids
}

// owned waits until everything on the engine belongs to a Pod that exists.
func (i *instance) owned(t *testing.T) {
	t.Helper()
	eventually(t, func() error {
		pods, err := i.api(t).Client.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, c := range i.containers(t) {
			if !slices.ContainsFunc(pods.Items, func(p corev1.Pod) bool { return string(p.UID) == c.UID }) {
				return fmt.Errorf("container %s (%s) of Pod %s has no owner", c.Container, c.State, c.Pod)
			}
		}
		for _, uid := range i.volumes(t) {
			if !slices.ContainsFunc(pods.Items, func(p corev1.Pod) bool { return string(p.UID) == uid }) {
				return fmt.Errorf("the volumes of Pod %s have no owner", uid)
			}
		}
		return nil
	})
	others := slices.DeleteFunc(i.onEngine(t), func(o string) bool { return !strings.HasPrefix(o, "network/") })
	if want := []string{"network/skiff-" + i.name}; !slices.Equal(others, want) {
		t.Errorf("networks on the engine: %v, want %v", others, want)
	}
}

// volumes gives the UIDs of the Pods that have volumes, on disk or on the engine.
func (i *instance) volumes(t testing.TB) (uids []string) {
	t.Helper()
	uids = strings.Fields(i.docker(t, "volume", "ls", "--filter", "label=skiff.instance="+i.name, "--format", `{{.Label "io.kubernetes.pod.uid"}}`))
	entries, err := os.ReadDir(i.paths().Pods)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		uids = append(uids, e.Name())
	}
	return uids
}

// nothingRuns waits until no Pod is left, and neither container nor volume.
func (i *instance) nothingRuns(t *testing.T) {
	t.Helper()
	i.api(t).WaitPods(t, "", func(pods []corev1.Pod) bool { return len(pods) == 0 })
	eventually(t, func() error {
		if left := i.containers(t); len(left) > 0 {
			return fmt.Errorf("left: %v", left)
		}
		if left := i.volumes(t); len(left) > 0 {
			return fmt.Errorf("left: the volumes of %v", left)
		}
		return nil
	})
}

// writer creates one object after the other and remembers which ones it was
// told are there.
type writer struct {
	cancel func()
	done   chan []string
}

func (i *instance) startWriter(t *testing.T, round int) writer {
	ctx, cancel := context.WithCancel(t.Context())
	w := writer{cancel, make(chan []string, 1)}
	client := i.api(t).Client
	go func() { w.done <- write(ctx, client, round) }()
	return w
}

func write(ctx context.Context, client kubernetes.Interface, round int) (acknowledged []string) {
	for n := 0; ; n++ {
		cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("written-%d-%d", round, n)}}
		if _, err := client.CoreV1().ConfigMaps("default").Create(ctx, cm, metav1.CreateOptions{}); err != nil {
			return acknowledged
		}
		acknowledged = append(acknowledged, cm.Name)
	}
}

func (w writer) stop() []string {
	w.cancel()
	return <-w.done
}

// hasWritten sees that everything is there that a writer was told is.
func (i *instance) hasWritten(t *testing.T, names []string) {
	t.Helper()
	list, err := i.api(t).Client.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, cm := range list.Items {
		there[cm.Name] = true
	}
	for _, name := range names {
		if !there[name] {
			t.Errorf("%s was acknowledged and is lost", name)
		}
	}
	t.Logf("%d objects acknowledged, all there", len(names))
}
