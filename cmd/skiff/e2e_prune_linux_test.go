package main_test

import (
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// prune has the engine throw away all that it takes to be unused: stopped
// containers, networks, images, volumes. What runs, runs on; what is needed next
// is there.
func (i *instance) prune(t *testing.T, address string) {
	i.pruneBetween(t)
	before, ran, volumes := i.webPods(t, 3), running(i.applications(t)), i.volumes(t)
	for _, how := range [][]string{{"--force"}, {"--all", "--volumes", "--force"}} {
		t.Logf("docker system prune %v: %s", how, i.docker(t, append([]string{"system", "prune"}, how...)...))
		for uid, p := range i.webPods(t, 3) {
			if was := before[uid]; containerID(was) != containerID(p) || was.Status.PodIP != p.Status.PodIP {
				t.Errorf("Pod %s was container %s at %s, and is %s at %s", p.Name, containerID(was), was.Status.PodIP, containerID(p), p.Status.PodIP)
			}
		}
		if now := running(i.applications(t)); !maps.Equal(now, ran) {
			t.Errorf("running: %v, want %v", now, ran)
		}
		if now := i.volumes(t); !slices.Equal(now, volumes) {
			t.Errorf("volumes of Pods %v, want %v", now, volumes)
		}
		if end := <-i.request(t, address); !strings.HasPrefix(end, "200 ") {
			t.Errorf("a request: %s", end)
		}
	}
	if phase := must(t, i.skiff, "get", "pod", "once", "-o", "jsonpath={.status.phase} {.status.containerStatuses[0].restartCount}"); phase != "Succeeded 0" {
		t.Errorf("the Pod whose container is thrown away: %s, want Succeeded 0", phase)
	}
	must(t, i.skiff, "create", "-f", i.write(t, "after.yaml", afterManifest))
	i.webPods(t, 4)
	must(t, i.skiff, "delete", "-f", "after.yaml")
	i.webPods(t, 3)
}

// pruneBetween prunes when a Pod has no container and no sandbox, as at its first
// restart: then, and only then, its volumes have nobody.
func (i *instance) pruneBetween(t *testing.T) {
	file := i.write(t, "notes.yaml", notesManifest)
	must(t, i.skiff, "create", "-f", file)
	first := i.untilServes(t, 0)
	for _, dir := range []string{"/own", "/claimed"} {
		must(t, i.skiff, "exec", "notes", "--", "life", "work", dir+"/notes", "still here")
	}
	i.halted(t, func() {
		i.docker(t, "kill", first)
		t.Logf("docker system prune between two attempts: %s", i.docker(t, "system", "prune", "--volumes", "--force"))
	})
	i.untilServes(t, 1)
	if got := must(t, i.skiff, "exec", "notes", "--", "life", "cat", "/own/notes", "/claimed/notes"); got != "still here\nstill here\n" {
		t.Errorf("in the volumes of a Pod that was restarted: %q", got)
	}
	must(t, i.skiff, "delete", "-f", file)
}

// halted does what skiff is too slow to notice before it is over.
func (i *instance) halted(t *testing.T, do func()) {
	t.Helper()
	pid, err := i.paths().Running()
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(pid, syscall.SIGCONT) }()
	do()
}

// notesManifest is a Pod with volumes of both kinds.
const notesManifest = `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: notes}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: notes, labels: {app: notes}}
spec:
  securityContext: {runAsUser: 65534}
  volumes: [{name: own, emptyDir: {}}, {name: claimed, persistentVolumeClaim: {claimName: notes}}]
  containers:
  - {name: life, image: "skiff-example/life:1", args: [serve], volumeMounts: [{name: own, mountPath: /own}, {name: claimed, mountPath: /claimed}]}
`

// untilServes waits until it runs after so many restarts.
func (i *instance) untilServes(t *testing.T, restarts int32) (container string) {
	t.Helper()
	pods := i.api(t).WaitPods(t, "app=notes", func(pods []corev1.Pod) bool {
		s := pods[0].Status.ContainerStatuses
		return len(s) == 1 && s[0].RestartCount == restarts && s[0].Ready
	})
	return containerID(pods[0])
}

// afterManifest is a Pod with a sandbox, whose image was unused.
const afterManifest = `
apiVersion: v1
kind: Pod
metadata: {name: after, labels: {app: web}}
spec:
  shareProcessNamespace: true
  containers:
  - {name: web, image: "skiff-example/web:1"}
`
