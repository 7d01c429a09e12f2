package node

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"skiff/runtime/container"
)

func TestSecurity(t *testing.T) {
	t.Parallel()
	id, yes, no := ptr.To[int64], ptr.To(true), ptr.To(false)
	type pod = corev1.PodSecurityContext
	type own = corev1.SecurityContext
	const whose = ` (pod: "a_default(uid-a)", container: web)`
	tests := []struct {
		name  string
		pod   *pod
		own   *own
		image string // its user
		want  container.Security
		err   string
	}{
		{name: "nothing said"},
		{name: "nothing said, the image has a user", image: "app:app"},
		{name: "the Pod's user", pod: &pod{RunAsUser: id(1000)}, want: container.Security{User: "1000"}},
		{name: "the container's user and the Pod's group", pod: &pod{RunAsUser: id(1000), RunAsGroup: id(3000)}, own: &own{RunAsUser: id(2000)},
			want: container.Security{User: "2000:3000"}},
		{name: "root on purpose", pod: &pod{RunAsUser: id(1000)}, own: &own{RunAsUser: id(0)}, want: container.Security{User: "0"}},
		{name: "only a group", own: &own{RunAsGroup: id(5)}, want: container.Security{User: "0:5"}},
		{name: "only a group, the image has a user", own: &own{RunAsGroup: id(5)}, image: "app:app", want: container.Security{User: "app:5"}},
		{name: "further groups", pod: &pod{FSGroup: id(7), SupplementalGroups: []int64{8, 9}}, want: container.Security{Groups: []string{"7", "8", "9"}}},

		{name: "not root, by number", pod: &pod{RunAsNonRoot: yes, RunAsUser: id(1)}, want: container.Security{User: "1"}},
		{name: "not root, by the image's number", pod: &pod{RunAsNonRoot: yes}, image: "65532"},
		{name: "not root, and root", pod: &pod{RunAsNonRoot: yes, RunAsUser: id(0)}, err: "container's runAsUser breaks non-root policy" + whose},
		{name: "not root, the image has no user", own: &own{RunAsNonRoot: yes}, err: "container has runAsNonRoot and image will run as root" + whose},
		{name: "not root, the image is root's", own: &own{RunAsNonRoot: yes}, image: "0:0", err: "container has runAsNonRoot and image will run as root" + whose},
		{name: "not root, the image's user has a name", own: &own{RunAsNonRoot: yes}, image: "app",
			err: "container has runAsNonRoot and image has non-numeric user (app), cannot verify user is non-root" + whose},
		{name: "not root, but the container may", pod: &pod{RunAsNonRoot: yes}, own: &own{RunAsNonRoot: no}},

		{name: "privileges", own: &own{Privileged: yes, ReadOnlyRootFilesystem: yes, AllowPrivilegeEscalation: yes},
			want: container.Security{Privileged: true, ReadOnlyRoot: true}},
		{name: "no new privileges", own: &own{AllowPrivilegeEscalation: no}, want: container.Security{NoNewPrivileges: true}},
		{name: "capabilities in any spelling",
			own:  &own{Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"all"}, Add: []corev1.Capability{"NET_ADMIN", "cap_sys_time"}}},
			want: container.Security{DropCapabilities: []string{"ALL"}, AddCapabilities: []string{"NET_ADMIN", "SYS_TIME"}}},
		{name: "profiles", pod: &pod{
			SeccompProfile:  &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined},
			AppArmorProfile: &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined},
			SELinuxOptions:  &corev1.SELinuxOptions{Level: "s0:c1", Type: "t"},
		}, own: &own{SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
			want: container.Security{AppArmorUnconfined: true, SELinux: container.SELinux{Level: "s0:c1", Type: "t"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			pod := newPodObject("a", "web:1", func(p *corev1.Pod) {
				p.Spec.SecurityContext, p.Spec.Containers[0].SecurityContext = tt.pod, tt.own
			})
			got, err := security(pod, &pod.Spec.Containers[0], tt.image)
			text := ""
			if err != nil {
				text = err.Error()
			}
			if text != tt.err {
				t.Errorf("error is %q, want %q", text, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What the engine passes over in silence is told.
func TestSELinuxWhereThereIsNone(t *testing.T) {
	for name, test := range map[string]struct {
		options *corev1.SELinuxOptions
		has     bool
		told    bool
	}{
		"options, no SELinux": {&corev1.SELinuxOptions{Type: "spc_t"}, false, true},
		"options and SELinux": {&corev1.SELinuxOptions{Type: "spc_t"}, true, false},
		"neither":             {nil, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, w *world) {
				w.worker.Machine.SELinux = test.has
				w.create(newPodObject("a", "web:1", func(p *corev1.Pod) {
					p.Spec.SecurityContext = &corev1.PodSecurityContext{SELinuxOptions: test.options}
				}))
				w.untilReady("a")
				w.untilEvent("Started: ")
				told := strings.Contains(strings.Join(w.events(), "\n"), "NoSELinux: securityContext.seLinuxOptions has no effect")
				if told != test.told {
					t.Errorf("events: %q", w.events())
				}
			})
		})
	}
}
