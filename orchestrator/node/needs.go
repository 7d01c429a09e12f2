package node

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

// need is an object without which a container cannot be configured.
type need struct {
	secret          bool // else it is a ConfigMap
	namespace, name string
}

// needs are those of a Pod's containers.
func needs(pod *corev1.Pod) map[need]bool {
	out := map[need]bool{}
	add := func(secret bool, name string) { out[need{secret, pod.Namespace, name}] = true }
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		for _, from := range c.EnvFrom {
			if r := from.ConfigMapRef; r != nil {
				add(false, r.Name)
			}
			if r := from.SecretRef; r != nil {
				add(true, r.Name)
			}
		}
		for _, v := range c.Env {
			if v.ValueFrom == nil {
				continue
			}
			if r := v.ValueFrom.ConfigMapKeyRef; r != nil {
				add(false, r.Name)
			}
			if r := v.ValueFrom.SecretKeyRef; r != nil {
				add(true, r.Name)
			}
		}
	}
	return out
}

// needHandler hands over which objects have come or changed.
func (w *Worker) needHandler(ctx context.Context) cache.ResourceEventHandler {
	send := func(obj any) {
		m, ok := obj.(metav1.Object)
		if !ok {
			return
		}
		s, secret := obj.(*corev1.Secret)
		select {
		case w.met <- met{need{secret, m.GetNamespace(), m.GetName()}, secret && isLogin(s)}:
		case <-ctx.Done():
		}
	}
	return cache.ResourceEventHandlerFuncs{AddFunc: send, UpdateFunc: func(_, obj any) { send(obj) }}
}

// met is an object that has come or changed.
type met struct {
	need
	login bool // for a registry
}

func isLogin(s *corev1.Secret) bool {
	return s.Type == corev1.SecretTypeDockerConfigJson || s.Type == corev1.SecretTypeDockercfg
}

// needMet has the containers tried again at once that may have waited for it. A
// login may be named by a Pod or by its service account, then or by now.
func (w *Worker) needMet(m met) {
	for _, p := range w.pods {
		if p.needs[m.need] {
			p.send(p.reconfigure)
		}
		if p.shows[m.need] {
			p.send(p.outdate)
		}
		if m.login && p.namespace == m.namespace {
			p.send(p.pullAgain)
		}
	}
}

// pullAgain has the pulls that have failed tried again at once.
func (p *pod) pullAgain() {
	for _, u := range p.s.members() {
		if u.wait != nil && (u.wait.reason == reasonErrImagePull || u.wait.reason == reasonImagePullBackOff) {
			u.pull = backoff{}
			p.s.job(job{opImage, u.name}).retry = time.Time{}
		}
	}
}

// reconfigure has the starts that failed for want of something tried again at
// once, and those as well that may be about to fail for it.
func (p *pod) reconfigure() {
	for _, u := range p.s.all() {
		switch start := p.s.job(job{opStart, u.name}); {
		case start.busy:
			start.again = true
		case u.wait != nil && u.wait.reason == reasonConfigError:
			start.retry = time.Time{}
		}
	}
}
