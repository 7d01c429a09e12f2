package node

import (
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// TestUser: the status tells as whom containers run, also that of Pods that the
// next run takes over.
func TestUser(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		user, group, files := int64(1000), int64(2000), int64(3000)
		w.create(newPodObject("a", "web:1", func(p *corev1.Pod) {
			p.Spec.SecurityContext = &corev1.PodSecurityContext{
				RunAsUser: &user, RunAsGroup: &group, FSGroup: &files, SupplementalGroups: []int64{4000, group},
			}
		}))
		w.untilReady("a")
		check := func() {
			t.Helper()
			u := w.pod("a").Status.ContainerStatuses[0].User
			want := &corev1.ContainerUser{Linux: &corev1.LinuxContainerUser{UID: 1000, GID: 2000, SupplementalGroups: []int64{2000, 3000, 4000}}}
			if u == nil || u.String() != want.String() {
				t.Errorf("user is %v, want %v", u, want)
			}
		}
		check()
		w.end()
		w.begin()
		time.Sleep(time.Minute)
		synctest.Wait()
		check()
	})
}
