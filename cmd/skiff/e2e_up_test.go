package main_test

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestUpAndDown: an instance that goes down leaves no container running, and
// comes back as it was.
func TestUpAndDown(t *testing.T) {
	t.Parallel()
	i := start(t)
	address := i.deployWeb(t)
	const identity = `jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.uid} {.spec.clusterIP} {.spec.ports[*].nodePort}{"\n"}{end}`
	before := must(t, i.skiff, "get", "pods,services,replicasets", "-o", identity)

	want := fmt.Sprintf("error: instance %q is already running: \"skiff --name %[1]s status\" tells about it, \"skiff --name %[1]s down\" stops it\n", i.name)
	if r := try(t, i.skiff, "up", "--listen", "127.0.0.1:0"); r.code != 1 || r.err != want {
		t.Errorf("up while it runs: want %q, got %v", want, r)
	}
	if r := try(t, i.skiff, "up", "-d"); r.code != 0 || !alreadyRuns.MatchString(r.out) {
		t.Errorf("up -d while it runs: %v", r)
	}

	i.refusesOtherName(t)

	elsewhere := *i
	elsewhere.dir += "-2"
	if r := try(t, elsewhere.skiff, "--data-dir", elsewhere.dir, "up", "-d", "--listen", "127.0.0.1:0"); r.code != 1 || !strings.Contains(r.err, "belongs to another instance of skiff on this engine") {
		t.Errorf("up of the same name with its data elsewhere: %v", r)
	}
	must(t, elsewhere.skiff, "--data-dir", elsewhere.dir, "down", "--purge")
	nothing := fmt.Sprintf("there is no instance %q in %s\n", i.name, elsewhere.dir)
	if r := try(t, elsewhere.skiff, "--data-dir", elsewhere.dir, "down", "--purge"); r.code != 0 || r.out != nothing {
		t.Errorf("purge of the same name where there is no data: want %q, got %v", nothing, r)
	}
	i.ownPodsOnly(t, address)
	claim := i.keep(t)

	must(t, i.skiff, "down")
	for _, c := range i.containers(t) {
		if c.State == "running" {
			t.Errorf("container %s of Pod %s runs after down", c.Container, c.Pod)
		}
	}
	if conn, err := net.Dial("tcp", address); err == nil {
		_ = conn.Close()
		t.Errorf("%s accepts connections after down", address)
	}

	i.up(t)
	i.stillKeeps(t, claim)
	i.webPods(t, 3)
	if after := must(t, i.skiff, "get", "pods,services,replicasets", "-o", identity); after != before {
		t.Errorf("before down:\n%s\nafter up:\n%s", before, after)
	}
	i.answers(t, address)
	i.ownPodsOnly(t, address)
}

// keepManifest is a Pod that notes in its claim's volume each time that it begins.
const keepManifest = `apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: kept}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: keeper, labels: {app: keeper}}
spec:
  volumes: [{name: data, persistentVolumeClaim: {claimName: kept}}]
  initContainers:
  - {name: note, image: "skiff-example/life:1", args: [work, /data/notes, begun], volumeMounts: [{name: data, mountPath: /data}]}
  containers:
  - {name: life, image: "skiff-example/life:1", args: [serve], volumeMounts: [{name: data, mountPath: /data}]}
`

const claimIdentity = "jsonpath={.metadata.uid} {.spec.volumeName} {.status.phase}"

// keep has a Pod write to a claim and gives the claim's identity.
func (i *instance) keep(t *testing.T) (claim string) {
	t.Helper()
	must(t, i.skiff, "create", "-f", i.write(t, "keep.yaml", keepManifest))
	i.notes(t, "begun\n")
	return must(t, i.skiff, "get", "pvc", "kept", "-o", claimIdentity)
}

// stillKeeps: the claim is the same one, with what was written to it.
func (i *instance) stillKeeps(t *testing.T, claim string) {
	t.Helper()
	i.notes(t, "begun\nbegun\n")
	if now := must(t, i.skiff, "get", "pvc", "kept", "-o", claimIdentity); now != claim {
		t.Errorf("the claim was %s and is %s", claim, now)
	}
	must(t, i.skiff, "delete", "-f", "keep.yaml")
}

func (i *instance) notes(t *testing.T, want string) {
	t.Helper()
	i.readyPods(t, "app=keeper", 1)
	if got := must(t, i.skiff, "exec", "keeper", "--", "life", "cat", "/data/notes"); got != want {
		t.Errorf("noted %q, want %q", got, want)
	}
}

// refusesOtherName: with another instance's name, a command finds out whose data
// it was pointed to before it does anything.
func (i *instance) refusesOtherName(t *testing.T) {
	t.Helper()
	pid, err := i.paths().Running()
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("error: data directory %s: belongs to another instance: it is %q (--name %[2]s)\n", i.dir, i.name)
	for _, command := range []string{"down --purge", "down", "status", "kubeconfig", "get pods", "up -d"} {
		if r := try(t, i.skiff, append([]string{"--name", "wrong"}, strings.Fields(command)...)...); r.code != 1 || r.out != "" || r.err != want {
			t.Errorf("%s with a wrong name: want %q, got %v", command, want, r)
		}
	}
	if now, err := i.paths().Running(); now != pid || err != nil {
		t.Errorf("process %d became %d (%v)", pid, now, err)
	}
}

// TestForeground ends a daemon as Ctrl-C does.
func TestForeground(t *testing.T) {
	t.Parallel()
	i := newInstance(t)
	daemon := i.upHere(t)
	i.deployWeb(t)
	daemon.interrupt()
	if err := daemon.wait(); err != nil {
		t.Errorf("the daemon ended with %v", err)
	}
	if running := i.running(t); len(running) > 0 {
		t.Errorf("after Ctrl-C run %v", running)
	}

	// A second Ctrl-C does not wait for a request that does not end. What runs
	// then, runs on.
	daemon = i.upHere(t)
	must(t, i.skiff, "scale", "deployment/web", "--replicas=1")
	before := i.webPods(t, 1)
	broken := keepInFlight(t, i.nodePort(t, "web"))
	daemon.interrupt()
	daemon.until("stopping the containers")
	daemon.interrupt()
	_ = daemon.wait()
	<-broken
	if runs := running(i.applications(t)); len(runs) != 1 {
		t.Errorf("after a second Ctrl-C run %v", runs)
	}
	i.up(t)
	for uid, p := range i.webPods(t, 1) {
		if containerID(before[uid]) != containerID(p) {
			t.Errorf("Pod %s was not adopted", p.Name)
		}
	}
}

// upHere starts the daemon in the foreground and returns once it is ready.
func (i *instance) upHere(t *testing.T) *following {
	t.Helper()
	daemon := follow(t, i.skiff(t.Context(), "up", "--listen", "127.0.0.1:0"))
	daemon.until("API ready in ")
	return daemon
}

func (f *following) interrupt() {
	f.Helper()
	if err := f.cmd.Process.Signal(os.Interrupt); err != nil {
		f.Fatalf("interrupt %v: %v", f.cmd.Args, err)
	}
}

// TestChangesWhileDown has the engine's containers changed while nobody looks.
func TestChangesWhileDown(t *testing.T) {
	t.Parallel()
	i := start(t)
	address := i.deployWeb(t)
	before := i.webPods(t, 3)
	uids := slices.Sorted(maps.Keys(before))
	i.crash(t)
	docker(t, "rm", "--force", containerID(before[uids[0]]))
	docker(t, "kill", containerID(before[uids[1]]))
	i.leaveOrphan(t, containerID(before[uids[2]]))
	i.up(t)
	after := i.webPods(t, 3)
	for n, uid := range uids {
		if same := containerID(before[uid]) == containerID(after[uid]); same != (n == 2) {
			t.Errorf("Pod %d has the container that it had: %t", n, same)
		}
	}
	i.owned(t)

	i.crash(t)
	for _, c := range i.containers(t) {
		docker(t, "rm", "--force", c.ID)
	}
	docker(t, "rm", "--force", "skiff-gateway-"+i.name)
	docker(t, "network", "rm", "skiff-"+i.name)
	eventually(t, func() error { // another test's instance may have the subnet for a while
		r := try(t, i.skiff, "up", "-d", "--listen", "127.0.0.1:0")
		if strings.Contains(r.err, "is now used by something else") {
			return errors.New(r.err)
		}
		if r.code != 0 {
			t.Fatalf("up: %v", r)
		}
		return nil
	})
	if again := i.webPods(t, 3); !slices.Equal(slices.Sorted(maps.Keys(again)), uids) {
		t.Errorf("other Pods than before: %v", again)
	}
	i.owned(t)
	i.ownPodsOnly(t, address)
}

// leaveOrphan makes a container and a volume of a Pod that does not exist, as a
// state file put back from a backup leaves them.
func (i *instance) leaveOrphan(t *testing.T, like string) {
	t.Helper()
	const uid = "00000000-0000-0000-0000-000000000000"
	run := []string{"run", "--detach"}
	for line := range strings.Lines(docker(t, "inspect", like, "--format", `{{range $k, $v := .Config.Labels}}{{$k}}={{$v}}{{"\n"}}{{end}}`)) {
		if label := strings.TrimSpace(line); label != "" && !strings.HasPrefix(label, "io.kubernetes.pod.uid=") {
			run = append(run, "--label", label)
		}
	}
	docker(t, append(run, "--label", "io.kubernetes.pod.uid="+uid, "skiff-example/web:1")...)
	own := strings.TrimSpace(docker(t, "inspect", like, "--format", `{{index .Config.Labels "skiff.uid"}}`))
	docker(t, "volume", "create", "--label", "skiff.instance="+i.name, "--label", "skiff.uid="+own,
		"--label", "io.kubernetes.pod.uid="+uid, "skiff-"+i.name+"-"+uid+"-data")
	if err := os.MkdirAll(filepath.Join(i.paths().Pods, uid, "volumes"), 0o700); err != nil {
		t.Fatal(err)
	}
}

// TestCannotStart: the reason is told, with what to do, in the foreground and in
// the background.
func TestCannotStart(t *testing.T) {
	t.Parallel()
	damaged := start(t)
	must(t, damaged.skiff, "down")
	state := damaged.paths().State
	if err := os.WriteFile(state, []byte("not a database"), 0o600); err != nil {
		t.Fatal(err)
	}
	lost := newInstance(t)
	lost.env = append(slices.Clip(lost.env), "DOCKER_HOST=unix:///nowhere/docker.sock")
	t.Cleanup(func() { lost.env = lost.env[:len(lost.env)-1] })
	taken := newInstance(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	full := newInstance(t)
	full.fillDisk(t)
	for _, c := range []struct {
		i            *instance
		listen, want string
	}{
		{damaged, "127.0.0.1:0", "error: open store " + state + ": damaged (invalid database): move the file away to start empty, or put a backup in its place\n"},
		{lost, "127.0.0.1:0", "error: no container engine answers at unix:///nowhere/docker.sock: start Docker, or set DOCKER_HOST to where it listens: "},
		{taken, listener.Addr().String(), "error: open the API's address: listen tcp " + listener.Addr().String() + ": bind: address already in use (\"--listen 127.0.0.1:0\" picks a free port)\n"},
		{full, "127.0.0.1:0", "error: keep process number: write " + full.paths().PID + ".next: no space left on device: make room on the disk of " + full.dir + ", or keep the instance elsewhere with --data-dir\n"},
	} {
		if r := try(t, c.i.skiff, "up", "--listen", c.listen); r.code != 1 || r.out != "" || !strings.HasPrefix(r.err, c.want) {
			t.Errorf("up: want %q, got %v", c.want, r)
		}
		want := "error: skiff did not start: " + strings.TrimPrefix(c.want, "error: ")
		if r := try(t, c.i.skiff, "up", "-d", "--listen", c.listen); r.code != 1 || r.out != "" || !strings.HasPrefix(r.err, want) {
			t.Errorf("up -d: want %q, got %v", want, r)
		}
	}
	if got := read(t, state); got != "not a database" {
		t.Errorf("the damaged file was replaced: %q", got)
	}
}

// fillDisk has every write to the log and to the daemon's first own file fail as
// on a full disk, the kernel's own error for it.
func (i *instance) fillDisk(t *testing.T) {
	t.Helper()
	err := os.Mkdir(i.dir, 0o700)
	for _, file := range []string{i.paths().Log, i.paths().PID + ".next"} {
		err = errors.Join(err, os.Symlink("/dev/full", file))
	}
	if err != nil {
		t.Fatal(err)
	}
	// It can be read without end, and the log is read when the test has ended.
	t.Cleanup(func() { _ = os.Remove(i.paths().Log) })
}
