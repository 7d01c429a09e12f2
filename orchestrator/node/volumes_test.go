package node

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"skiff/runtime/container"
	"skiff/runtime/fake"
)

func TestFilesChangeAsOne(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "volume")
	write := func(files map[string]file) string {
		t.Helper()
		if err := writeFiles(dir, files, owner{}); err != nil {
			t.Fatal(err)
		}
		version, err := os.Readlink(filepath.Join(dir, "..data"))
		if err != nil {
			t.Fatal(err)
		}
		return version
	}
	names := func() string {
		t.Helper()
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, e := range entries {
			if !strings.HasPrefix(e.Name(), "..2") {
				out = append(out, e.Name())
			}
		}
		return strings.Join(out, " ")
	}
	first := write(map[string]file{"a": {data: []byte("1"), mode: 0o644}, "b/c": {data: []byte("2"), mode: 0o600}})
	if again := write(map[string]file{"a": {data: []byte("1"), mode: 0o644}, "b/c": {data: []byte("2"), mode: 0o600}}); again != first {
		t.Error("what has not changed was written again")
	}
	if got := names(); got != "..data a b" {
		t.Errorf("there is %s", got)
	}
	// A crash has left a version and half a change of the link.
	if err := os.Mkdir(filepath.Join(dir, "..2020_01_01_00_00_00.1"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "..data_tmp")); err != nil {
		t.Fatal(err)
	}
	second := write(map[string]file{"a": {data: []byte("3"), mode: 0o644}, "d": {}})
	if second == first {
		t.Error("a change did not make a version of its own")
	}
	if got := names(); got != "..data a d" {
		t.Errorf("there is %s", got)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "a")); err != nil || string(data) != "3" {
		t.Errorf("a is %q, %v", data, err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "..2*")); err != nil || len(left) != 1 {
		t.Errorf("versions left: %v, %v", left, err)
	}
}

func TestFileModes(t *testing.T) {
	t.Parallel()
	group := ptr.To[int64](2000)
	for _, test := range []struct {
		owner      owner
		mode, want int32
	}{
		{owner{root: true}, 0o400, 0o400},
		{owner{root: true, group: group}, 0o400, 0o440},
		{owner{root: true, group: group}, 0o644, 0o644},
		// An ordinary user cannot give files away: all of the container read them.
		{owner{}, 0o400, 0o444},
		{owner{group: group}, 0o600, 0o644},
		{owner{}, 0o700, 0o755},
		{owner{}, 0o200, 0o200},
	} {
		if got := test.owner.mode(file{mode: test.mode}); got != os.FileMode(test.want) {
			t.Errorf("%o of %+v is %o, want %o", test.mode, test.owner, got, test.want)
		}
	}
}

func TestSubPath(t *testing.T) {
	t.Parallel()
	env := []string{"NAME=web-1", "UP=..", "ROOT=/etc"}
	for expr, want := range map[string]string{
		"logs/$(NAME)": "logs/web-1",
		"$$(NAME)":     "$(NAME)",
		"$(NONE)":      `failed to expand subPathExpr "$(NONE)": missing value for "NONE"`,
		"a/$(UP)":      `failed to expand subPathExpr "a/$(UP)": "a/.." is not a path below the volume`,
		"$(ROOT)":      `failed to expand subPathExpr "$(ROOT)": "/etc" is not a path below the volume`,
	} {
		got, err := subPath(corev1.VolumeMount{SubPathExpr: expr}, env)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s is %s, want %s", expr, got, want)
		}
	}
}

// Where a file of an optional source is missing, its directory gives way to it.
func TestSubPathOfALateFile(t *testing.T) {
	t.Parallel()
	o := newPodObject("a", "web:1", func(o *corev1.Pod) {
		o.Spec.Volumes = []corev1.Volume{{Name: "c", VolumeSource: corev1.VolumeSource{
			ConfigMap: &corev1.ConfigMapVolumeSource{Optional: new(true)},
		}}}
		o.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "c", MountPath: "/key", SubPath: "key"}}
	})
	p := &pod{shared: &shared{Options: Options{DataDir: t.TempDir()}}}
	dir := p.volumePath(o, o.Spec.Volumes[0])
	mounted := func(files map[string]file) string {
		t.Helper()
		if err := writeFiles(dir, files, ownerOf(o)); err != nil {
			t.Fatal(err)
		}
		all, err := p.mounts(t.Context(), o, &o.Spec.Containers[0], map[string]container.Mount{"c": {Source: dir}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return all[0].Source
	}
	for range 2 {
		if info, err := os.Lstat(mounted(nil)); err != nil || !info.IsDir() {
			t.Errorf("without the file: %v, %v", info, err)
		}
	}
	for _, path := range []string{mounted(map[string]file{"key": {data: []byte("here"), mode: 0o644}}), filepath.Join(dir, "key")} {
		if data, err := os.ReadFile(path); err != nil || string(data) != "here" {
			t.Errorf("once it is there: %q, %v", data, err)
		}
	}
	o.Spec.Volumes[0].ConfigMap.Optional = nil
	o.Spec.Containers[0].VolumeMounts[0].SubPath = "other"
	_, err := p.mounts(t.Context(), o, &o.Spec.Containers[0], map[string]container.Mount{"c": {Source: dir}}, nil)
	if err == nil || !strings.HasSuffix(err.Error(), `: volume "c" has no file "other"`) {
		t.Errorf("of a file that must be there: %v", err)
	}
}

func TestEvictsAPodThatFillsItsVolume(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		limit := resource.MustParse("1Mi")
		w.create(newPodObject("a", "web:1", withEmptyDir, func(p *corev1.Pod) { p.Spec.Volumes[0].EmptyDir.SizeLimit = &limit }))
		w.untilReady("a")
		w.engine.Fill("uid-a-data", 1<<20)
		time.Sleep(2 * measurePeriod)
		if !ready(w.pod("a")) {
			t.Error("ended although it keeps to its limit")
		}
		w.engine.Fill("uid-a-data", 1<<20+1)
		w.untilEvent(`Evicted: Usage of EmptyDir volume "data" exceeds the limit "1Mi". `)
		w.until(time.Minute, "the Pod has failed", func() bool { return w.pod("a").Status.Phase == corev1.PodFailed })
		if st := w.pod("a").Status; st.Reason != "Evicted" {
			t.Errorf("status is %s: %s", st.Reason, st.Message)
		}
	})
}

// TestEvictionIsQuick: what does not end by itself has a second for its hooks and
// the least grace, whatever the Pod grants. Meanwhile it is a Pod that has failed.
func TestEvictionIsQuick(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.engine.AddImage("deaf", func(container.Spec) fake.Behaviour { return fake.Behaviour{Deaf: true} })
		limit := resource.MustParse("1Mi")
		w.create(newPodObject("a", "deaf", withEmptyDir, withInits("+beside=deaf"), func(p *corev1.Pod) {
			p.Spec.Volumes[0].EmptyDir.SizeLimit = &limit
			p.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 25}}}
		}))
		w.untilReady("a")
		w.engine.Fill("uid-a-data", 1<<20+1)
		w.untilEvent("Evicted: ")
		synctest.Wait()
		st := w.pod("a").Status
		if c := condition(st.Conditions, corev1.PodReady); st.Phase != corev1.PodRunning || c.Status != corev1.ConditionFalse || c.Reason != "PodFailed" || c.Message != "" {
			t.Errorf("while it ends: phase %s, condition %+v", st.Phase, c)
		}
		took := w.until(time.Minute, "it has ended", func() bool { return w.pod("a").Status.Phase == corev1.PodFailed })
		if most := evictionGrace + 2*leastGrace; took > most+time.Second/2 {
			t.Errorf("took %s, want at most %s", took, most)
		}
		w.before("traffic removed", "stop 2s")
	})
}

func TestMissingConfigMapIsMetAtOnce(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.create(newPodObject("a", "web:1", func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{Name: "c", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
				LocalObjectReference: corev1.LocalObjectReference{Name: "late"}}}}}
		}))
		w.untilEvent(`FailedMount: MountVolume.SetUp failed for volume "c" : configmap "late" not found`)
		time.Sleep(time.Minute) // by now it is tried again only now and then
		cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "late", Namespace: "default"}, Data: map[string]string{"x": "here"}}
		if _, err := w.client.CoreV1().ConfigMaps("default").Create(context.Background(), cm, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if took := w.until(10*time.Second, "ready", func() bool { return ready(w.pod("a")) }); took > 500*time.Millisecond {
			t.Errorf("ready %s after what it waited for", took)
		}
		data, err := os.ReadFile(filepath.Join(w.dir, "pods", "uid-a", "volumes", "c", "x"))
		if err != nil || string(data) != "here" {
			t.Errorf("%q, %v", data, err)
		}
	})
}

// What a claim holds is given to the Pod's group before its first container, and
// never again, so that a database that runs is left alone when skiff comes back.
func TestGiving(t *testing.T) {
	t.Parallel()
	s := stateOf(withImage)
	if got := s.giving(); got != "" {
		t.Errorf("without a group: %q", got)
	}
	sc := &corev1.PodSecurityContext{FSGroup: ptr.To[int64](2000)}
	s.pod.Spec.SecurityContext = sc
	if got := s.giving(); got != container.GiveAll {
		t.Errorf("by default: %q", got)
	}
	for policy, want := range map[corev1.PodFSGroupChangePolicy]container.Giving{
		corev1.FSGroupChangeAlways: container.GiveAll, corev1.FSGroupChangeOnRootMismatch: container.GiveMismatched,
	} {
		sc.FSGroupChangePolicy = &policy
		if got := s.giving(); got != want {
			t.Errorf("%s: %q", policy, got)
		}
	}
	s.units[0].cur = &attempt{}
	if got := s.giving(); got != "" {
		t.Errorf("once a container has begun: %q", got)
	}
}

// TestMemoryForVolumes: what is in memory counts as the Pod's, and is bounded by
// what that may take.
func TestMemoryForVolumes(t *testing.T) {
	t.Parallel()
	const machine = 8 << 30
	limited := func(memory string) corev1.ResourceRequirements {
		return corev1.ResourceRequirements{Limits: quantities("memory", memory)}
	}
	whole := limited("64Mi")
	size := resource.MustParse("1Mi")
	for name, test := range map[string]struct {
		containers []corev1.ResourceRequirements
		whole      *corev1.ResourceRequirements
		size       *resource.Quantity
		want       int64
	}{
		"one without a limit":    {containers: []corev1.ResourceRequirements{limited("1Gi"), {}}, want: machine},
		"all have one":           {containers: []corev1.ResourceRequirements{limited("1Gi"), limited("2Gi")}, want: 3 << 30},
		"the Pod as a whole has": {containers: []corev1.ResourceRequirements{{}}, whole: &whole, want: 64 << 20},
		"of the Pod, not theirs": {containers: []corev1.ResourceRequirements{limited("16Mi"), limited("16Mi")}, whole: &whole, want: 64 << 20},
		"the volume has":         {containers: []corev1.ResourceRequirements{{}}, whole: &whole, size: &size, want: 1 << 20},
	} {
		pod := &corev1.Pod{Spec: corev1.PodSpec{Resources: test.whole}}
		for _, r := range test.containers {
			pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Resources: r})
		}
		v := corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory, SizeLimit: test.size}}}
		if got := emptyDir(pod, v, machine).Size; got != test.want {
			t.Errorf("%s: %d bytes, want %d", name, got, test.want)
		}
	}
}
