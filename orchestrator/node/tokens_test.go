package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"
)

// withToken gives a Pod a volume with a token that lives so long.
func withToken(life time.Duration) func(*corev1.Pod) {
	seconds := int64(life.Seconds())
	return func(p *corev1.Pod) {
		p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: "account", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: &seconds}}}}}})
	}
}

// issuer is the part of the API that makes tokens, numbered in their order.
type issuer struct {
	issued atomic.Int32
	fails  atomic.Bool
}

func (i *issuer) issue(a clienttesting.Action) (bool, runtime.Object, error) {
	if i.fails.Load() {
		return true, nil, errors.New("disk full")
	}
	r := a.(clienttesting.CreateAction).GetObject().(*authenticationv1.TokenRequest).DeepCopy()
	life := time.Duration(*r.Spec.ExpirationSeconds) * time.Second
	r.Status = authenticationv1.TokenRequestStatus{Token: fmt.Sprintf("token %d", i.issued.Add(1)), ExpirationTimestamp: metav1.NewTime(time.Now().Add(life))}
	return true, r, nil
}

// TestTokensAreRenewed: a volume shows another token when a fifth of the old
// one's life is left, and once a day. One that cannot be had in time is tried for
// until it can.
func TestTokensAreRenewed(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		api := &issuer{}
		w.client.PrependReactor("create", "serviceaccounts", api.issue)
		shows := func(pod, want string) {
			t.Helper()
			synctest.Wait()
			got, err := os.ReadFile(filepath.Join(w.dir, "pods", "uid-"+pod, "volumes", "account", "token"))
			if err != nil || string(got) != want {
				t.Errorf("%s shows %q, want %q (%v)", pod, got, want, err)
			}
		}
		w.create(newPodObject("a", "web:1", withToken(10*time.Minute)))
		shows("a", "token 1")
		time.Sleep(8*time.Minute - time.Second)
		shows("a", "token 1")
		time.Sleep(2 * time.Second)
		shows("a", "token 2")

		api.fails.Store(true)
		time.Sleep(9 * time.Minute)
		shows("a", "token 2")
		api.fails.Store(false)
		time.Sleep(time.Minute - time.Second) // it is good for no longer
		shows("a", "token 3")
		w.remove("a", 0)
		w.untilGone("a")

		w.create(newPodObject("b", "web:1", withToken(365*24*time.Hour)))
		shows("b", "token 4")
		time.Sleep(24*time.Hour - time.Second)
		shows("b", "token 4")
		time.Sleep(2 * time.Second)
		shows("b", "token 5")
		time.Sleep(time.Hour)
		if n := api.issued.Load(); n != 5 {
			t.Errorf("%d tokens were made, want 5", n)
		}
	})
}
