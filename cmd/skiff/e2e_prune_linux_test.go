package main_test

import (
	"errors"
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
	must(t, i.skiff, "create", "-f", i.write(t, "notes.yaml", notesManifest))
	i.untilNoted(t, 1)
	i.halted(t, func() { i.docker(t, "system", "prune", "--volumes", "--force") })
	volume := "skiff-" + i.name + "-" + i.untilNoted(t, 2) + "-data"
	if got := i.docker(t, "run", "--rm", "--network", "none", "--volume", volume+":/data", "skiff-example/life:1", "cat", "/data/notes"); !strings.HasPrefix(got, "begun\nbegun\nbegun\n") {
		t.Errorf("in the volume of the Pod that waits: %q, want three lines", got)
	}
	must(t, i.skiff, "delete", "-f", "notes.yaml")
	before, running, volumes := i.webPods(t, 3), i.running(t), i.volumes(t)
	for _, how := range [][]string{{"--force"}, {"--all", "--volumes", "--force"}} {
		t.Logf("docker system prune %v: %s", how, i.docker(t, append([]string{"system", "prune"}, how...)...))
		for uid, p := range i.webPods(t, 3) {
			if was := before[uid]; containerID(was) != containerID(p) || was.Status.PodIP != p.Status.PodIP {
				t.Errorf("Pod %s was container %s at %s, and is %s at %s", p.Name, containerID(was), was.Status.PodIP, containerID(p), p.Status.PodIP)
			}
		}
		if now := i.running(t); !maps.Equal(now, running) {
			t.Errorf("running: %v, want %v", now, running)
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

// notesManifest is a Pod that writes to its volume and then waits for its next
// attempt. Meanwhile nothing that runs has the volume.
const notesManifest = `
apiVersion: v1
kind: Pod
metadata: {name: notes, labels: {app: notes}}
spec:
  securityContext: {runAsUser: 65534}
  volumes: [{name: data, emptyDir: {}}]
  containers:
  - {name: life, image: "skiff-example/life:1", args: [work, /data/notes, begun], volumeMounts: [{name: data, mountPath: /data}]}
`

// untilNoted waits until it has been restarted so many times and waits again, in
// its sandbox.
func (i *instance) untilNoted(t *testing.T, restarts int32) (uid string) {
	t.Helper()
	pods := i.api(t).WaitPods(t, "app=notes", func(pods []corev1.Pod) bool {
		s := pods[0].Status.ContainerStatuses
		return len(s) == 1 && s[0].RestartCount == restarts && s[0].State.Waiting != nil
	})
	eventually(t, func() error {
		for _, c := range i.containers(t) {
			if c.Pod == "notes" && c.Container == "POD" && c.State == "running" {
				return nil
			}
		}
		return errors.New("the Pod that waits has no sandbox")
	})
	return string(pods[0].UID)
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
