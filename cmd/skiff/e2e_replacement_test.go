package main_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// replacedWithin is far above what a replacement takes, for the sake of busy
// machines; the time that it took is logged.
const replacedWithin = 20 * time.Second

// TestReplacement takes containers and Pods away. What is missing comes back at
// once: without a poll, and without a back-off where nothing keeps crashing.
func TestReplacement(t *testing.T) {
	t.Parallel()
	i := start(t)
	i.deployWeb(t)
	for _, way := range []struct {
		name    string
		take    func(corev1.Pod)
		samePod bool
	}{
		{"container killed", func(p corev1.Pod) { docker(t, "kill", containerID(p)) }, true},
		{"container removed", func(p corev1.Pod) { docker(t, "rm", "--force", containerID(p)) }, true},
		{"pod deleted", func(p corev1.Pod) { must(t, i.skiff, "delete", "pod", p.Name, "--wait=false") }, false},
	} {
		before := i.webPods(t, 3)
		pod := before[slices.Sorted(maps.Keys(before))[0]]
		events := i.watchEngine(t)
		began := time.Now()
		way.take(pod)
		if way.samePod {
			began = await(t, events, "its end", func(e engineEvent) bool {
				return e.Action == "die" && e.Actor.ID == containerID(pod)
			}).at()
		}
		isNew := func(e engineEvent) bool {
			if way.samePod {
				return e.pod() == pod.Name && e.Actor.ID != containerID(pod)
			}
			return !slices.ContainsFunc(slices.Collect(maps.Values(before)), func(p corev1.Pod) bool { return p.Name == e.pod() })
		}
		created := await(t, events, "the next one's creation", func(e engineEvent) bool { return e.Action == "create" && isNew(e) })
		started := await(t, events, "the next one's start", func(e engineEvent) bool { return e.Action == "start" && isNew(e) })
		t.Logf("%s: the next one created after %s, started after %s", way.name,
			created.at().Sub(began).Round(time.Millisecond), started.at().Sub(began).Round(time.Millisecond))
		if took := started.at().Sub(began); took < 0 || took > replacedWithin {
			t.Errorf("%s: replaced after %s", way.name, took)
		}
		after := i.webPods(t, 3)
		if _, there := after[string(pod.UID)]; there != way.samePod {
			t.Errorf("%s: Pod %s is there: %t", way.name, pod.Name, there)
		}
		for uid, p := range after {
			if was, known := before[uid]; known && uid != string(pod.UID) && containerID(was) != containerID(p) {
				t.Errorf("%s: Pod %s was restarted, too", way.name, p.Name)
			}
		}
		if now, same := after[string(pod.UID)]; same && now.Status.ContainerStatuses[0].RestartCount == pod.Status.ContainerStatuses[0].RestartCount {
			t.Errorf("%s: the restart is not counted", way.name)
		}
	}
	i.owned(t)
}

const two = `apiVersion: v1
kind: Pod
metadata:
  name: two
  labels: {app: web}
spec:
  containers:
  - name: web
    image: skiff-example/web:1
    readinessProbe: {httpGet: {path: /healthz, port: 8080}}
  - name: db
    image: mongo:3.3
`

// TestSandboxReplaced removes what holds the network of a Pod whose containers
// run side by side. The Pod keeps its name and starts anew as a whole.
func TestSandboxReplaced(t *testing.T) {
	t.Parallel()
	i := start(t)
	must(t, i.skiff, "create", "-f", i.write(t, "two.yaml", two))
	i.webPods(t, 1)
	before := i.containers(t)
	if len(before) != 3 {
		t.Fatalf("two containers in one sandbox are %v", before)
	}
	events := i.watchEngine(t)
	for _, c := range before {
		if c.Container != "web" && c.Container != "db" {
			docker(t, "rm", "--force", c.ID)
		}
	}
	missing := map[string]bool{"web": true, "db": true} // they start side by side
	await(t, events, "the start of both containers", func(e engineEvent) bool {
		if e.Action == "start" {
			delete(missing, e.Actor.Attributes["io.kubernetes.container.name"])
		}
		return len(missing) == 0
	})
	i.webPods(t, 1)
	i.owned(t)
	for _, c := range i.containers(t) {
		if c.State == "running" && slices.ContainsFunc(before, func(b engineContainer) bool { return b.ID == c.ID }) {
			t.Errorf("container %s runs on in a sandbox that is gone", c.Container)
		}
	}
}
