package node

import (
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// token is what a Pod's volume shows of a service account.
type token struct {
	text  string
	renew time.Time // when another one should take its place
}

// tokens keeps those in use, so that a volume which is written again for another
// reason shows the same one.
type tokens struct {
	mu   sync.Mutex // guards kept
	kept map[tokenKey]token
}

type tokenKey struct {
	pod      types.UID
	audience string
	seconds  int64
}

func keyOf(pod types.UID, s *corev1.ServiceAccountTokenProjection) tokenKey {
	return tokenKey{pod, s.Audience, ptr.Deref(s.ExpirationSeconds, 0)}
}

func (t *tokens) get(pod types.UID, s *corev1.ServiceAccountTokenProjection, now time.Time) (token, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	found, ok := t.kept[keyOf(pod, s)]
	return found, ok && now.Before(found.renew)
}

func (t *tokens) put(pod types.UID, s *corev1.ServiceAccountTokenProjection, made token) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.kept == nil {
		t.kept = map[tokenKey]token{}
	}
	t.kept[keyOf(pod, s)] = made
}

// forget drops those of a Pod that is gone.
func (t *tokens) forget(pod types.UID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key := range t.kept {
		if key.pod == pod {
			delete(t.kept, key)
		}
	}
}
