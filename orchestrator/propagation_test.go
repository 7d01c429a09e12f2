package orchestrator_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// testPropagation looks at what is mounted below a folder of the host after the
// Pod has started, in each of the three ways in which it can be shared.
func testPropagation(t *testing.T, s stage) {
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("only somebody who may mount sees what is mounted: %v: %s", err, out)
	}
	do := func(command ...string) {
		t.Helper()
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Errorf("%q: %v: %s", command, err, out)
		}
	}
	t.Cleanup(func() { do("umount", "--lazy", "--recursive", dir) })
	do("mount", "--make-shared", dir)
	if err := os.Mkdir(dir+"/late", 0o755); err != nil {
		t.Fatal(err)
	}
	pod := func(name string, mode corev1.MountPropagationMode, privileged bool) *corev1.Pod {
		return volumePod(name, map[string]corev1.VolumeSource{"none": {HostPath: &corev1.HostPathVolumeSource{Path: dir}}}, func(p *corev1.Pod) {
			c := &p.Spec.Containers[0]
			c.SecurityContext = &corev1.SecurityContext{Privileged: &privileged}
			c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "none", MountPath: "/shared", MountPropagation: &mode})
		})
	}
	s.create(t, pod("slave", corev1.MountPropagationHostToContainer, false))
	s.create(t, pod("peer", corev1.MountPropagationBidirectional, true))
	pods := map[*corev1.Pod]string{s.ready(t, "slave"): "master"}
	if peer := s.WaitPod(t, "peer", runningOrPowerless); running(peer) {
		pods[peer] = "shared"
	}
	do("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", dir+"/late")
	if err := os.WriteFile(dir+"/late/file", []byte("seen"), 0o644); err != nil {
		t.Fatal(err)
	}
	for pod, want := range pods {
		s.shows(t, pod, "/shared/late/file -rw-r--r-- 0:0 seen", "/none/late drwxr-xr-x 0:0")
		// What the container mounts is the host's to see where the kernel calls the
		// mount shared: https://docs.kernel.org/filesystems/sharedsubtree.html.
		table, err := s.inside(t, pod, "show", "/proc/self/mountinfo")
		if err != nil {
			t.Fatal(err)
		}
		if none, shared := peers(table, "/none"), peers(table, "/shared"); none != "-" || shared != want {
			t.Errorf("in %s: without propagation the mount is %q, with it %q, want %q", pod.Name, none, shared, want)
		}
	}
}

// peers is what the kernel says of a mount's relation to others: shared, master,
// or - where there is none.
func peers(table, path string) string {
	for line := range strings.Lines(table) {
		if fields := strings.Fields(line); len(fields) > 6 && fields[4] == path {
			relation, _, _ := strings.Cut(fields[6], ":")
			return relation
		}
	}
	return ""
}
