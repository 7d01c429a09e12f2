package node

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/runtime/container"
	"skiff/runtime/fake"
)

// pullSecret holds one user's login for a registry.
func pullSecret(name, registry, user string) *corev1.Secret {
	s := secret(name, map[string][]byte{
		corev1.DockerConfigJsonKey: []byte(`{"auths": {"` + registry + `": {"username": "` + user + `", "password": "p"}}}`),
	})
	s.Type = corev1.SecretTypeDockerConfigJson
	return s
}

func withPullSecrets(names ...string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		for _, name := range names {
			p.Spec.ImagePullSecrets = append(p.Spec.ImagePullSecrets, corev1.LocalObjectReference{Name: name})
		}
	}
}

// ownLogins are the user's.
type ownLogins []container.Credential

func (o ownLogins) Lookup(context.Context, string) ([]container.Credential, error) { return o, nil }

func TestPullSecrets(t *testing.T) {
	const image = "registry.example.com/app:1"
	owner := container.Credential{Username: "owner", Password: "p"}
	tests := map[string]struct {
		change []func(*corev1.Pod)
		own    ownLogins
		event  string // besides those of the pull
		fails  bool
	}{
		"nobody's":                      {fails: true},
		"the Pod's":                     {change: []func(*corev1.Pod){withPullSecrets("right")}},
		"one after the other":           {change: []func(*corev1.Pod){withPullSecrets("wrong", "right")}},
		"one for another registry":      {change: []func(*corev1.Pod){withPullSecrets("elsewhere")}, fails: true},
		"the service account's":         {change: []func(*corev1.Pod){func(p *corev1.Pod) { p.Spec.ServiceAccountName = "builder" }}},
		"the user's own":                {own: ownLogins{owner}},
		"the user's own after a secret": {change: []func(*corev1.Pod){withPullSecrets("wrong")}, own: ownLogins{owner}},
		"one that is not there": {change: []func(*corev1.Pod){withPullSecrets("none", "opaque", "right")},
			event: "FailedToRetrieveImagePullSecret: Unable to retrieve some image pull secrets (none, opaque); attempting to pull the image may not succeed."},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, w *world) {
				w.end()
				w.logins = test.own
				for _, s := range []*corev1.Secret{pullSecret("right", "registry.example.com", "owner"),
					pullSecret("wrong", "registry.example.com", "thief"), pullSecret("elsewhere", "ghcr.io", "owner"), secret("opaque", nil)} {
					if _, err := w.client.CoreV1().Secrets("default").Create(t.Context(), s, metav1.CreateOptions{}); err != nil {
						t.Fatal(err)
					}
				}
				account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "builder"},
					ImagePullSecrets: []corev1.LocalObjectReference{{Name: "right"}}}
				if _, err := w.client.CoreV1().ServiceAccounts("default").Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
					t.Fatal(err)
				}
				w.begin()
				w.engine.AddRemote(image, fake.Run)
				w.engine.Demand(image, owner)
				w.create(newPodObject("a", image, test.change...))
				if test.fails {
					w.untilEvent(`Failed: Failed to pull image "` + image + `": pull image "` + image + `": the registry denies access`)
					w.until(time.Second, "the Pod says so", func() bool {
						return w.pod("a").Status.ContainerStatuses[0].State.Waiting.Reason == "ErrImagePull"
					})
					return
				}
				w.untilReady("a")
				if all := strings.Join(w.events(), "\n"); !strings.Contains(all, test.event) || !strings.Contains(all, "Successfully pulled") {
					t.Errorf("events are:\n%s", all)
				}
			})
		})
	}
}

// A pull that was refused is tried again once somebody has made the login that
// the Pod's service account names, long before its back-off ends.
func TestLatePullSecret(t *testing.T) {
	const image = "registry.example.com/app:1"
	play(t, func(t *testing.T, w *world) {
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "builder"},
			ImagePullSecrets: []corev1.LocalObjectReference{{Name: "right"}}}
		if _, err := w.client.CoreV1().ServiceAccounts("default").Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		w.engine.AddRemote(image, fake.Run)
		w.engine.Demand(image, container.Credential{Username: "owner", Password: "p"})
		w.create(newPodObject("a", image, func(p *corev1.Pod) { p.Spec.ServiceAccountName = "builder" }))
		time.Sleep(2 * time.Minute) // its back-off is in the minutes
		login := pullSecret("right", "registry.example.com", "owner")
		if _, err := w.client.CoreV1().Secrets("default").Create(t.Context(), login, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		w.untilReady("a")
	})
}
