package orchestrator_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"skiff/orchestrator/skifftest"
	"skiff/runtime/docker"
)

// volumePod is a Pod of examples/pods with volumes, each mounted at /<name>.
func volumePod(name string, volumes map[string]corev1.VolumeSource, change ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": name}},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: ptr.To[int64](1),
			SecurityContext:               &corev1.PodSecurityContext{RunAsUser: ptr.To[int64](65534), RunAsGroup: ptr.To[int64](65534)},
			Containers:                    []corev1.Container{{Name: "web", Image: "skiff-example/inside:1"}},
		},
	}
	for v, source := range volumes {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: v, VolumeSource: source})
		pod.Spec.Containers[0].VolumeMounts = append(pod.Spec.Containers[0].VolumeMounts, corev1.VolumeMount{Name: v, MountPath: "/" + v})
	}
	for _, c := range change {
		c(pod)
	}
	return pod
}

// stage is an instance whose containers can be looked into.
type stage struct {
	*skifftest.Instance
	engine *docker.Engine
}

func newStage(t *testing.T) stage {
	t.Helper()
	images(t)
	return onStage(t, skifftest.New(t))
}

func onStage(t *testing.T, i *skifftest.Instance) stage {
	t.Helper()
	engine, err := docker.New(docker.Options{Instance: i.Options.Name, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { engine.Close() })
	return stage{Instance: i, engine: engine}
}

func (s stage) create(t *testing.T, pod *corev1.Pod) *corev1.Pod {
	t.Helper()
	made, err := s.Client.CoreV1().Pods(skifftest.Namespace).Create(t.Context(), pod, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// ready waits until the Pod is ready and gives it as it is then.
func (s stage) ready(t *testing.T, name string) *corev1.Pod {
	t.Helper()
	return &s.WaitPods(t, "app="+name, func(pods []corev1.Pod) bool { return len(pods) == 1 && podReady(&pods[0]) })[0]
}

// inside runs the image's own command in the Pod's container.
func (s stage) inside(t *testing.T, pod *corev1.Pod, args ...string) (output string, err error) {
	t.Helper()
	out, code, err := s.engine.Exec(t.Context(), pod.Status.ContainerStatuses[0].ContainerID, append([]string{"/inside"}, args...))
	if err == nil && code != 0 {
		err = fmt.Errorf("exit code %d: %s", code, out)
	}
	return string(out), err
}

// shows fails the test unless the paths look like that from inside.
func (s stage) shows(t *testing.T, pod *corev1.Pod, lines ...string) {
	t.Helper()
	var paths []string
	for _, line := range lines {
		path, _, _ := strings.Cut(line, " ")
		paths = append(paths, path)
	}
	got, err := s.inside(t, pod, append([]string{"show"}, paths...)...)
	if want := strings.Join(lines, "\n") + "\n"; err != nil || got != want {
		t.Errorf("from inside:\n%s(%v)\nwant:\n%s", got, err, want)
	}
}

// becomes waits until a path looks like that from inside, and says how long
// that took. Nothing tells when it does, so it looks often.
func (s stage) becomes(t *testing.T, pod *corev1.Pod, line string) time.Duration {
	t.Helper()
	path, _, _ := strings.Cut(line, " ")
	begun := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		got, err := s.inside(t, pod, "show", path)
		if err == nil && got == line+"\n" {
			return time.Since(begun)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s does not become %q: %q, %v", path, line, got, err)
		}
	}
}

func (s stage) untilEvent(t *testing.T, object, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	w, err := s.Client.CoreV1().Events(skifftest.Namespace).Watch(ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=" + object, ResourceVersion: "0"})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	for change := range w.ResultChan() {
		if e, ok := change.Object.(*corev1.Event); ok && strings.Contains(e.Reason+": "+e.Message, text) {
			return
		}
	}
	t.Fatalf("no event of %s says %q", object, text)
}

func keyed(key, path string, mode *int32) []corev1.KeyToPath {
	return []corev1.KeyToPath{{Key: key, Path: path, Mode: mode}}
}

// TestVolumes looks at volumes of all kinds from inside, on one instance.
func TestVolumes(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	t.Run("empty", func(t *testing.T) { t.Parallel(); testEmptyDirs(t, s) })
	t.Run("files", func(t *testing.T) { t.Parallel(); testFileVolumes(t, s) })
	t.Run("missing", func(t *testing.T) { t.Parallel(); testMissingSources(t, s) })
	t.Run("limit", func(t *testing.T) { t.Parallel(); testSizeLimit(t, s) })
	t.Run("host", func(t *testing.T) { t.Parallel(); testHostPath(t, s) })
	t.Run("propagation", func(t *testing.T) { t.Parallel(); testPropagation(t, s) })
}

func testEmptyDirs(t *testing.T, s stage) {
	limit := resource.MustParse("1Mi")
	s.create(t, volumePod("empty", map[string]corev1.VolumeSource{
		"disk":   {EmptyDir: &corev1.EmptyDirVolumeSource{}},
		"memory": {EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory, SizeLimit: &limit}},
	}, func(p *corev1.Pod) {
		c := &p.Spec.Containers[0]
		c.Env = []corev1.EnvVar{{Name: "WHO", Value: "me"}}
		c.VolumeMounts = append(c.VolumeMounts,
			corev1.VolumeMount{Name: "disk", MountPath: "/part", SubPathExpr: "of/$(WHO)"},
			corev1.VolumeMount{Name: "disk", MountPath: "/fixed", ReadOnly: true},
			corev1.VolumeMount{Name: "memory", MountPath: "/fixed/in/side"})
	}))
	pod := s.ready(t, "empty")
	s.shows(t, pod, "/disk drwxrwxrwx 0:0 in of", "/memory drwxrwxrwx 0:0", "/part drwxrwxrwx 0:0")
	for _, path := range []string{"/part/file", "/memory/kept"} {
		if _, err := s.inside(t, pod, "write", path, "x"); err != nil {
			t.Error(err)
		}
	}
	s.shows(t, pod, "/disk/of/me/file -rw-r--r-- 65534:65534 x", "/fixed/of/me/file -rw-r--r-- 65534:65534 x")
	if _, err := s.inside(t, pod, "write", "/fixed/file", "x"); err == nil || !strings.Contains(err.Error(), "read-only file system") {
		t.Errorf("write to a read-only mount: %v", err)
	}
	if _, err := s.inside(t, pod, "fill", "/memory/big", "2000000"); err == nil || !strings.Contains(err.Error(), "no space left on device") {
		t.Errorf("write 2 MB into 1 MiB: %v", err)
	}

	// A restart keeps both.
	if err := s.engine.Stop(t.Context(), pod.Status.ContainerStatuses[0].ContainerID, 0); err != nil {
		t.Fatal(err)
	}
	pod = &s.WaitPods(t, "app=empty", func(pods []corev1.Pod) bool {
		return podReady(&pods[0]) && pods[0].Status.ContainerStatuses[0].RestartCount == 1
	})[0]
	s.shows(t, pod, "/disk/of/me/file -rw-r--r-- 65534:65534 x", "/fixed/in/side/kept -rw-r--r-- 65534:65534 x")

	if err := s.Client.CoreV1().Pods(skifftest.Namespace).Delete(t.Context(), "empty", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	s.WaitPods(t, "app=empty", func(pods []corev1.Pod) bool { return len(pods) == 0 })
	list, err := s.engine.Volumes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range list {
		if v.Pod == string(pod.UID) {
			t.Errorf("volume %s is left of the Pod", v.Name)
		}
	}
}

func testSizeLimit(t *testing.T, s stage) {
	if os.Geteuid() != 0 {
		t.Skip("an ordinary user cannot measure the engine's volumes")
	}
	limit := resource.MustParse("1Mi")
	s.create(t, volumePod("limit", map[string]corev1.VolumeSource{"scratch": {EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: &limit}}}))
	if _, err := s.inside(t, s.ready(t, "limit"), "fill", "/scratch/big", "2000000"); err != nil {
		t.Fatal(err)
	}
	const message = `Usage of EmptyDir volume "scratch" exceeds the limit "1Mi". `
	pod := s.WaitPods(t, "app=limit", func(pods []corev1.Pod) bool { return pods[0].Status.Phase == corev1.PodFailed })[0]
	if pod.Status.Reason != "Evicted" || pod.Status.Message != message {
		t.Errorf("status: %s: %q", pod.Status.Reason, pod.Status.Message)
	}
	s.untilEvent(t, "limit", "Evicted: "+message)
}

func testFileVolumes(t *testing.T, s stage) {
	core := s.Client.CoreV1()
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "settings"},
		Data: map[string]string{"a": "one", "b": "two"}, BinaryData: map[string][]byte{"bin": {'\xff'}}}
	if _, err := core.ConfigMaps(skifftest.Namespace).Create(t.Context(), cm, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "key"}, StringData: map[string]string{"key.pem": "secret"}}
	if _, err := core.Secrets(skifftest.Namespace).Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	name := corev1.LocalObjectReference{Name: "settings"}
	items := []corev1.DownwardAPIVolumeFile{
		{Path: "labels", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.labels"}},
		{Path: "cpu", ResourceFieldRef: &corev1.ResourceFieldSelector{ContainerName: "web", Resource: "limits.cpu", Divisor: resource.MustParse("1m")}},
	}
	s.create(t, volumePod("files", map[string]corev1.VolumeSource{
		"all":    {ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: name}},
		"some":   {ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: name, Items: keyed("a", "deep/er/a", ptr.To[int32](0o777))}},
		"secret": {Secret: &corev1.SecretVolumeSource{SecretName: "key", DefaultMode: ptr.To[int32](0o400)}},
		"none":   {ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "nobody"}, Optional: ptr.To(true)}},
		"me":     {DownwardAPI: &corev1.DownwardAPIVolumeSource{Items: items}},
		"both": {Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
			{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: name, Items: keyed("b", "b", nil)}},
			{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "key"}}},
			{DownwardAPI: &corev1.DownwardAPIProjection{Items: items[:1]}},
		}}},
	}, func(p *corev1.Pod) {
		p.Spec.Containers[0].VolumeMounts = append(p.Spec.Containers[0].VolumeMounts,
			corev1.VolumeMount{Name: "all", MountPath: "/one", SubPath: "a"},
			corev1.VolumeMount{Name: "none", MountPath: "/absent", SubPath: "key"},
			corev1.VolumeMount{Name: "some", MountPath: "all/in/side/"})
		p.Spec.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1500m")}
	}))
	pod := s.ready(t, "files")
	s.shows(t, pod,
		"/all/a -rw-r--r-- 0:0 one", "/all/b -rw-r--r-- 0:0 two", "/all/bin -rw-r--r-- 0:0 \xff",
		"/some/deep/er/a -rwxrwxrwx 0:0 one", "/all/in/side/deep/er/a -rwxrwxrwx 0:0 one", "/one -rw-r--r-- 0:0 one", "/absent drwxr-xr-x 0:0",
		`/me/labels -rw-r--r-- 0:0 app="files"`, "/me/cpu -rw-r--r-- 0:0 1500",
		"/both/b -rw-r--r-- 0:0 two", "/both/key.pem -rw-r--r-- 0:0 secret", `/both/labels -rw-r--r-- 0:0 app="files"`)
	if got, err := s.inside(t, pod, "show", "/none"); err != nil || !strings.HasPrefix(got, "/none dtrwxrwxrwx 0:0 ..") {
		t.Errorf("of an optional source that is not there: %q, %v", got, err)
	}
	if got, err := s.inside(t, pod, "show", "/secret/key.pem"); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("a file of mode 0400 that is root's, read by another user: %q, %v", got, err)
	}

	cm.Data, cm.BinaryData = map[string]string{"a": "changed", "b": "two", "c": "new"}, nil
	if _, err := core.ConfigMaps(skifftest.Namespace).Update(t.Context(), cm, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if took := s.becomes(t, pod, "/all/c -rw-r--r-- 0:0 new"); took > 20*time.Second {
		t.Errorf("the change was seen after %s", took)
	}
	s.shows(t, pod, "/all/a -rw-r--r-- 0:0 changed", "/all/in drwxr-xr-x 0:0 side", "/one -rw-r--r-- 0:0 one")
	if got, err := s.inside(t, pod, "show", "/all/bin"); err == nil {
		t.Errorf("a key that is gone: %q", got)
	}
	patch := []byte(`{"metadata":{"labels":{"more":"yes"}}}`)
	if _, err := core.Pods(skifftest.Namespace).Patch(t.Context(), "files", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	s.becomes(t, pod, "/me/labels -rw-r--r-- 0:0 app=\"files\"\nmore=\"yes\"")
}

func testMissingSources(t *testing.T, s stage) {
	s.create(t, volumePod("missing", map[string]corev1.VolumeSource{
		"late": {Secret: &corev1.SecretVolumeSource{SecretName: "late"}},
	}))
	s.untilEvent(t, "missing", `FailedMount: MountVolume.SetUp failed for volume "late" : secret "late" not found`)
	pod := s.WaitPods(t, "app=missing", func(pods []corev1.Pod) bool { return len(pods[0].Status.ContainerStatuses) == 1 })[0]
	if w := pod.Status.ContainerStatuses[0].State.Waiting; pod.Status.Phase != corev1.PodPending || w == nil || w.Reason != "ContainerCreating" {
		t.Errorf("status meanwhile: %+v", pod.Status)
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "late"}, StringData: map[string]string{"x": "here"}}
	if _, err := s.Client.CoreV1().Secrets(skifftest.Namespace).Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.shows(t, s.ready(t, "missing"), "/late/x -rw-r--r-- 0:0 here")
}

func testHostPath(t *testing.T, s stage) {
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc", dir+"/out"); err != nil {
		t.Fatal(err)
	}
	s.create(t, volumePod("host", map[string]corev1.VolumeSource{
		"dir":  {HostPath: &corev1.HostPathVolumeSource{Path: dir + "/a/b", Type: ptr.To(corev1.HostPathDirectoryOrCreate)}},
		"file": {HostPath: &corev1.HostPathVolumeSource{Path: dir + "/file", Type: ptr.To(corev1.HostPathFileOrCreate)}},
	}))
	s.shows(t, s.ready(t, "host"), "/dir drwxr-xr-x 0:0", "/file -rw-r--r-- 0:0 ")
	s.create(t, volumePod("socket", map[string]corev1.VolumeSource{
		"s": {HostPath: &corev1.HostPathVolumeSource{Path: dir, Type: ptr.To(corev1.HostPathSocket)}},
	}))
	s.untilEvent(t, "socket", `FailedMount: MountVolume.SetUp failed for volume "s" : hostPath type check failed: `+dir+" is not a socket file")
	s.create(t, volumePod("escape", map[string]corev1.VolumeSource{"d": {HostPath: &corev1.HostPathVolumeSource{Path: dir}}},
		func(p *corev1.Pod) { p.Spec.Containers[0].VolumeMounts[0].SubPath = "out" }))
	s.untilEvent(t, "escape", `Failed: Error: failed to prepare subPath for volumeMount "d" of container "web": subpath "out" leads out of the volume`)
}

// exampleVolumes looks into the Pod of examples/pods that has volumes of all kinds.
func exampleVolumes(t *testing.T, i *skifftest.Instance) {
	s := onStage(t, i)
	s.shows(t, s.ready(t, "volumes"),
		"/settings/greeting -rw-r--r-- 0:2000 hello", "/greeting -rw-r--r-- 0:2000 hello", "/key/private/key.pem -r--r----- 0:2000 not a real key",
		"/about-me/labels -rw-r--r-- 0:2000 app=\"volumes\"", "/about-me/example -rw-r--r-- 0:2000 volumes", "/about-me/memory -rw-r--r-- 0:2000 64",
		"/scratch dgrwxrwxrwx 0:2000 pods", "/mine dgrwxrwxrwx 0:2000", "/memory dgrwxrwxrwx 0:2000")
}

func exampleClaim(t *testing.T, i *skifftest.Instance) {
	s := onStage(t, i)
	if _, err := s.inside(t, s.ready(t, "notes"), "write", "/data/note", "kept"); err != nil {
		t.Error(err)
	}
}
