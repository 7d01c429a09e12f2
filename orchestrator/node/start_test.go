package node

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"skiff/runtime/container"
	"skiff/runtime/fake"
)

func TestExpand(t *testing.T) {
	t.Parallel()
	values := map[string]string{"A": "a", "LONG_NAME": "b", "EMPTY": "", "REF": "$(A)"}
	tests := map[string]string{
		"":                   "",
		"plain":              "plain",
		"$(A)":               "a",
		"x$(A)y$(LONG_NAME)": "xayb",
		"$(EMPTY)":           "",
		"$(NONE)":            "$(NONE)",
		"$$(A)":              "$(A)",
		"$$$(A)":             "$a",
		"$":                  "$",
		"$$":                 "$",
		"a$":                 "a$",
		"$A ${A}":            "$A ${A}",
		"$(A":                "$(A",
		"$()":                "$()",
		"$(REF)":             "$(A)",
		"$(A)$(A":            "a$(A",
		"héé $(A) ☃":         "héé a ☃",
	}
	for in, want := range tests {
		if got := expand(in, values); got != want {
			t.Errorf("expand(%q) is %q, want %q", in, got, want)
		}
	}
}

func TestContainerSpec(t *testing.T) {
	t.Parallel()
	s := stateOf(withImage)
	c := &s.pod.Spec.Containers[0]
	c.WorkingDir, c.TTY = "/srv", true
	s.units[0].next = 2
	got := containerSpec(s, s.units[0], s.sandbox)
	want := container.Spec{
		Pod: container.Pod{Namespace: "default", Name: "a", UID: "uid-a"}, Name: "web", Attempt: 2, Hash: hash(c),
		ImageID: "sha256:1", Image: "web:1",
		WorkingDir: "/srv", TTY: true, Hostname: "a",
		Network: container.Network{Address: netip.MustParseAddr("10.9.8.1")},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	sandboxed(container.Running)(s)
	if got := containerSpec(s, s.units[0], s.sandbox); got.Network.Sandbox == "" || got.Network.Address.IsValid() || got.Hostname != "" {
		t.Errorf("it does not join the sandbox: %+v", got)
	}
	if got := sandboxSpec(s, s.sandbox); got.Hostname != "a" || got.Network.Address != s.address {
		t.Errorf("the sandbox is %+v", got)
	}
}

func TestHostname(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 62) + "-" + strings.Repeat("b", 20)
	if got := hostname(newPodObject(long, "x")); got != strings.Repeat("a", 62) {
		t.Errorf("host name is %q", got)
	}
}

func TestHostPaths(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		path string
		kind corev1.HostPathType
		want string // error; empty: none
	}{
		"unset, new":                {filepath.Join(dir, "new"), corev1.HostPathUnset, ""},
		"unset, a file":             {file, corev1.HostPathUnset, ""},
		"directory":                 {dir, corev1.HostPathDirectory, ""},
		"directory, a file":         {file, corev1.HostPathDirectory, "hostPath type check failed: " + file + " is not a directory"},
		"directory, nothing":        {dir + "/none", corev1.HostPathDirectory, "hostPath type check failed: " + dir + "/none is not a directory"},
		"directory or create":       {filepath.Join(dir, "x", "y"), corev1.HostPathDirectoryOrCreate, ""},
		"directory or create, file": {file, corev1.HostPathDirectoryOrCreate, "hostPath type check failed: " + file + " is not a directory"},
		"file":                      {file, corev1.HostPathFile, ""},
		"file, a directory":         {dir, corev1.HostPathFile, "hostPath type check failed: " + dir + " is not a file"},
		"file or create":            {filepath.Join(dir, "made"), corev1.HostPathFileOrCreate, ""},
		"file or create, no parent": {dir + "/none/x", corev1.HostPathFileOrCreate, "open " + dir + "/none/x: no such file or directory"},
		"socket, a file":            {file, corev1.HostPathSocket, "hostPath type check failed: " + file + " is not a socket file"},
		"character device":          {os.DevNull, corev1.HostPathCharDev, ""},
		"character device, a file":  {file, corev1.HostPathCharDev, "hostPath type check failed: " + file + " is not a character device"},
		"block device, a character": {os.DevNull, corev1.HostPathBlockDev, "hostPath type check failed: " + os.DevNull + " is not a block device"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := &pod{shared: &shared{Options: Options{Engine: fake.New()}}}
			err := p.makeHostPath(t.Context(), newPodObject("a", "web:1"), &corev1.HostPathVolumeSource{Path: test.path, Type: &test.kind})
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("error is %q, want %q", got, test.want)
			}
		})
	}
}

// What cuts preparations short is nothing that the container's author could mend.
func TestPreparationCutShort(t *testing.T) {
	withSubPath := func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "d", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
		p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "d", MountPath: "/d", SubPath: "sub"}}
	}
	untold := func(t *testing.T, w *world) {
		for _, e := range w.events() {
			if strings.HasPrefix(e, "Failed") {
				t.Errorf("event %q", e)
			}
		}
	}
	t.Run("by a deletion", func(t *testing.T) {
		play(t, func(t *testing.T, w *world) {
			w.engine.Delay("Below", time.Hour)
			w.create(newPodObject("a", "web:1", withSubPath))
			w.until(time.Minute, "the directory is being made", func() bool { return w.engine.Calls("Below") > 0 })
			w.remove("a", -1)
			w.untilGone("a")
			untold(t, w)
		})
	})
	t.Run("by the engine's end", func(t *testing.T) {
		play(t, func(t *testing.T, w *world) {
			w.engine.Fail("Below", container.ErrUnavailable)
			w.create(newPodObject("a", "web:1", withSubPath))
			w.untilReady("a")
			untold(t, w)
		})
	})
}

func TestFailedMountIsToldAndTriedAgain(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		path, kind := filepath.Join(w.dir, "data"), corev1.HostPathDirectory
		w.create(newPodObject("a", "web:1", func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{Name: "db", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: path, Type: &kind}}}}
			p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "db", MountPath: "/data", SubPath: "sub", ReadOnly: true}}
		}))
		w.untilEvent(`FailedMount: MountVolume.SetUp failed for volume "db" : hostPath type check failed: ` + path + " is not a directory")
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
		w.until(20*time.Second, "ready", func() bool { return ready(w.pod("a")) })
		if _, err := os.Stat(filepath.Join(path, "sub")); err != nil {
			t.Error(err)
		}
		w.remove("a", -1)
		w.untilGone("a")
		if _, err := os.Stat(path); err != nil {
			t.Errorf("the host's directory went with the Pod: %v", err)
		}
	})
}
