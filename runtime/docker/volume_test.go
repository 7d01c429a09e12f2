package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	dockercontainer "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/versions"
	"github.com/docker/docker/api/types/volume"

	"skiff/runtime/container"
)

// inside runs a command of the test application in a container.
func inside(t *testing.T, e *Engine, id string, cmd ...string) string {
	t.Helper()
	out, code, err := e.Exec(t.Context(), id, append([]string{"/app"}, cmd...))
	if err != nil || code != 0 {
		t.Fatalf("%v: %s, exit code %d, %v", cmd, out, code, err)
	}
	return string(out)
}

func TestVolumes(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	s := spec(t, e, "serve")
	group := int64(2000)
	late := container.Volume{Name: "late"}
	if err := e.CreateVolume(t.Context(), s.Pod, late); err != nil {
		t.Fatal(err)
	}
	host := &dockercontainer.HostConfig{Mounts: []mount.Mount{e.mount(container.Mount{Volume: late.Name, Target: viewPath})}}
	if err := e.view(t.Context(), s.Pod, host, func(id string) error { // as a database does with its directory
		return e.put(t.Context(), id, "/", entry{file: fileOf(viewPath[1:]+"/", nil), mode: 0o700, uid: 1000})
	}); err != nil {
		t.Fatal(err)
	}
	for _, v := range []container.Volume{
		{Name: "disk", Pod: s.Pod.UID},
		{Name: late.Name, Group: &group}, // it was made without
		{Name: "grouped", Pod: s.Pod.UID, Group: &group},
		{Name: "memory", Pod: s.Pod.UID, Memory: true, Size: 1 << 20},
	} {
		for range 2 { // the second time it is there
			if err := e.CreateVolume(t.Context(), s.Pod, v); err != nil {
				t.Fatal(err)
			}
		}
		// Image content at the same place stays hidden.
		s.Mounts = append(s.Mounts, container.Mount{Volume: v.Name, Target: "/" + v.Name})
	}
	box := spec(t, e)
	box.Pod, box.Name, box.ImageID = s.Pod, container.SandboxName, ""
	box.Mounts = []container.Mount{{Volume: "memory", Target: "/volumes/memory"}}
	s.Network, s.Hostname = container.Network{Sandbox: start(t, e, box)}, ""
	id := start(t, e, s)
	for _, want := range []string{"/disk 777 0:0 ", "/grouped 2777 0:2000 ", "/late 2770 1000:2000 ", "/memory 777 0:0 1048576\n"} {
		if got := inside(t, e, id, "stat", strings.Fields(want)[0]); !strings.HasPrefix(got, want) {
			t.Errorf("from inside: %q, want %q", got, want)
		}
	}
	inside(t, e, id, "write", "/memory/kept", "still here")
	inside(t, e, id, "write", "/disk/big", strings.Repeat("x", 64<<10))

	// What is in memory outlives the container, for the sandbox holds it.
	if err := e.Remove(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	s.Attempt = 1
	id = start(t, e, s)
	if got := inside(t, e, id, "cat", "/memory/kept"); got != "still here" {
		t.Errorf("in memory after a restart: %q", got)
	}
	if used, err := e.VolumeUsage(t.Context(), "disk"); os.Geteuid() == 0 && (err != nil || used < 64<<10 || used > 128<<10) {
		t.Errorf("usage of 64 KiB: %d, %v", used, err)
	}

	if err := e.RemoveVolume(t.Context(), "disk"); !errors.Is(err, container.ErrConflict) {
		t.Errorf("remove a volume in use: %v", err)
	}
	list, err := e.Volumes(t.Context())
	if err != nil || len(list) != 4 || !slices.ContainsFunc(list, func(v container.Volume) bool { return v.Name == "disk" && v.Pod == s.Pod.UID }) {
		t.Errorf("volumes: %+v, %v", list, err)
	}
	if all, err := e.List(t.Context()); err != nil || len(all) != 2 {
		t.Errorf("containers left: %+v, %v", all, err)
	}
	if err := e.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if list, err := e.Volumes(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("volumes after the purge: %+v, %v", list, err)
	}
	for range 2 {
		if err := e.RemoveVolume(t.Context(), "disk"); err != nil {
			t.Errorf("remove a volume that is not there: %v", err)
		}
	}
}

// TestPruneSparesVolumes: the engine's own prune, kept to what the instance has,
// takes a volume that nobody made for a Pod, and none that skiff made.
func TestPruneSparesVolumes(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	if err := e.CreateVolume(t.Context(), spec(t, e).Pod, container.Volume{Name: "claimed", Claim: "default/data"}); err != nil {
		t.Fatal(err)
	}
	plain := e.volumeName("plain")
	if _, err := e.api.VolumeCreate(t.Context(), volume.CreateOptions{Name: plain, Labels: e.labels()}); err != nil {
		t.Fatal(err)
	}
	which := e.own()
	if versions.GreaterThanOrEqualTo(e.api.ClientVersion(), "1.42") {
		which.Add("all", "true") // not only those without a name
	}
	report, err := e.api.VolumesPrune(t.Context(), which)
	if err != nil || !slices.Equal(report.VolumesDeleted, []string{plain}) {
		t.Errorf("pruned %v, %v, want %s alone", report.VolumesDeleted, err, plain)
	}
	if list, err := e.Volumes(t.Context()); err != nil || len(list) != 1 || list[0].Name != "claimed" {
		t.Errorf("volumes left: %+v, %v", list, err)
	}
}

func TestVolumeOfAnotherInstance(t *testing.T) {
	t.Parallel()
	mine := newEngine(t)
	other := newInstance(t, mine.instance, "another-uid")
	pod := container.Pod{Namespace: "default", Name: "web", UID: "uid"}
	if err := mine.CreateVolume(t.Context(), pod, container.Volume{Name: "data"}); err != nil {
		t.Fatal(err)
	}
	if err := other.CreateVolume(t.Context(), pod, container.Volume{Name: "data"}); !errors.Is(err, container.ErrConflict) {
		t.Errorf("use a volume of another instance: %v", err)
	}
}

func TestBelow(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	s := spec(t, e, "serve")
	v := container.Mount{Volume: "data", Target: "/data"}
	if err := e.CreateVolume(t.Context(), s.Pod, container.Volume{Name: "data"}); err != nil {
		t.Fatal(err)
	}
	s.Mounts = []container.Mount{v}
	id := start(t, e, s)
	inside(t, e, id, "write", "/data/file", "x")
	inside(t, e, id, "link", "/etc", "/data/out")
	inside(t, e, id, "link", "../../..", "/data/up")
	inside(t, e, id, "link", "new", "/data/within")
	root := strings.TrimSuffix(below(t, e, s.Pod, v, ""), "/")
	for _, c := range []struct{ sub, want string }{
		{"new/deep", "/new/deep"}, {"file", "/file"}, {"within/deep", "/new/deep"}, // in this order
	} {
		if got := below(t, e, s.Pod, v, c.sub); got != root+c.want {
			t.Errorf("%s is %s, want %s", c.sub, got, root+c.want)
		}
	}
	if got := inside(t, e, id, "stat", "/data/new", "/data/new/deep"); strings.Count(got, " 777 0:0 ") != 2 {
		t.Errorf("made: %s", got)
	}
	// What is made is like the root, and its group's.
	shared, group := container.Mount{Volume: "shared", Target: "/shared"}, int64(4711)
	if err := e.CreateVolume(t.Context(), s.Pod, container.Volume{Name: "shared", Group: &group}); err != nil {
		t.Fatal(err)
	}
	below(t, e, s.Pod, shared, "new/deep")
	s.Name, s.Mounts, s.Network.Address = "other", []container.Mount{shared}, spec(t, e, "serve").Network.Address
	if got := inside(t, e, start(t, e, s), "stat", "/shared/new", "/shared/new/deep"); strings.Count(got, " 2777 0:4711 ") != 2 {
		t.Errorf("made for a group: %s", got)
	}
	for _, sub := range []string{"out", "out/passwd", "up", "up/etc", "../x", "/etc", "a/../../x"} {
		if got, err := e.Below(t.Context(), s.Pod, v, sub); err == nil {
			t.Errorf("%s leads out of the volume to %s", sub, got)
		}
	}
}

func below(t *testing.T, e *Engine, pod container.Pod, m container.Mount, sub string) string {
	t.Helper()
	got, err := e.Below(t.Context(), pod, m, sub)
	if err != nil {
		t.Fatalf("%s: %v", sub, err)
	}
	return got
}

func TestPaths(t *testing.T) {
	t.Parallel()
	e, dir := newEngine(t), t.TempDir()
	pod := container.Pod{Namespace: "default", Name: "web", UID: "uid"}
	file := filepath.Join(dir, "file")
	if err := e.MakeFile(t.Context(), pod, file); err != nil {
		t.Fatal(err)
	}
	if err := e.MakeFile(t.Context(), pod, dir+"/none/file"); !errors.Is(err, container.ErrNotFound) {
		t.Errorf("a file in no directory: %v", err)
	}
	if err := e.MakeDir(t.Context(), pod, dir+"/a/b"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("a", dir+"/link"); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		dir + "/a/b": "d---------", file: "----------", dir + "/link": "d---------", "/dev/null": "Dc---------",
		e.api.DaemonHost()[len("unix://"):]: "S---------",
	} {
		kind, err := e.PathType(t.Context(), pod, path)
		if err != nil || kind.String() != want {
			t.Errorf("%s: %s, %v, want %s", path, kind, err, want)
		}
	}
	if _, err := e.PathType(t.Context(), pod, dir+"/none"); !errors.Is(err, container.ErrNotFound) {
		t.Errorf("nothing there: %v", err)
	}
	if info, err := os.Stat(file); err != nil || fmt.Sprintf("%o", info.Mode()) != "644" {
		t.Errorf("the file that was made: %v, %v", info, err)
	}
}

func TestMounts(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	bind := e.mount(container.Mount{Source: "/a", Target: "/b", Propagation: container.FromHost})
	if bind.BindOptions.Propagation != "rslave" {
		t.Errorf("from host: %+v", bind.BindOptions)
	}
	s := spec(t, e, "serve")
	s.Mounts = []container.Mount{{Source: t.TempDir(), Target: "/host", ReadOnly: true, Recursive: container.RecursiveAlways}}
	_, err := e.Create(t.Context(), s)
	if e.recursive() != (err == nil) || err != nil && !errors.Is(err, container.ErrUnsupported) {
		t.Errorf("recursive read-only mount: %v", err)
	}
}

// TestGiveVolume: what is below the root of a volume that somebody has used is
// given to a group, as far as is asked for.
func TestGiveVolume(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	bringProgram(t, e)
	s := spec(t, e, "serve")
	group, other := int64(2000), int64(3000)
	v := container.Volume{Name: "used"}
	if err := e.CreateVolume(t.Context(), s.Pod, v); err != nil {
		t.Fatal(err)
	}
	s.Mounts = []container.Mount{{Volume: v.Name, Target: "/used"}}
	id := start(t, e, s)
	inside(t, e, id, "write", "/used/file", "")
	give := func(group int64, giving container.Giving) {
		t.Helper()
		v.Group, v.Give = &group, giving
		if err := e.CreateVolume(t.Context(), s.Pod, v); err != nil {
			t.Fatal(err)
		}
	}
	shows := func(lines ...string) {
		t.Helper()
		for _, want := range lines {
			if got := inside(t, e, id, "stat", strings.Fields(want)[0]); !strings.HasPrefix(got, want+" ") {
				t.Errorf("from inside: %q, want %q", got, want)
			}
		}
	}
	give(group, "")
	shows("/used 2777 0:2000", "/used/file 644 0:0")
	give(group, container.GiveMismatched) // the root is the group's already
	shows("/used 2777 0:2000", "/used/file 644 0:0")
	give(group, container.GiveAll)
	shows("/used 2777 0:2000", "/used/file 664 0:2000")
	give(other, container.GiveMismatched)
	shows("/used 2777 0:3000", "/used/file 664 0:3000")

	// A walk that nobody waits for any more leaves no container behind.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.walk(ctx, s.Pod, nil, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("a walk for nobody: %v", err)
	}
	if err := e.walk(t.Context(), s.Pod, nil, 1); err == nil || !strings.Contains(err.Error(), viewPath) {
		t.Errorf("a walk through nothing: %v", err)
	}
	if all, err := e.List(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("containers left: %+v, %v", all, err)
	}
}
