package node

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"

	"skiff/orchestrator/keyring"
	"skiff/runtime/container"
)

// Logins are what the user has told the docker command about registries.
type Logins interface {
	// Lookup gives the credentials for an image; none is no error.
	Lookup(ctx context.Context, image string) ([]container.Credential, error)
}

// pullAs tries the credentials one by one, or pulls as nobody in particular
// where there are none.
func (p *pod) pullAs(ctx context.Context, ref string, known []container.Credential, progress func(have, total int64)) (container.Image, error) {
	if len(known) == 0 {
		known = []container.Credential{{}}
	}
	var errs []error
	for _, as := range known {
		image, err := p.images.pull(ctx, ref, as, pullNews, progress)
		if err == nil || ctx.Err() != nil {
			return image, err
		}
		errs = append(errs, err)
	}
	return container.Image{}, utilerrors.NewAggregate(errs)
}

// credentials are those that fit the image: of the Pod's pull secrets, then the
// user's own. What cannot be read is told; the pull may do without.
func (p *pod) credentials(ctx context.Context, pod *corev1.Pod, c *corev1.Container) []container.Credential {
	found, failed := p.podCredentials(ctx, pod, c.Image)
	if len(failed) > 0 {
		p.events.warn(pod, "", reasonNoPullSecret,
			"Unable to retrieve some image pull secrets (%s); attempting to pull the image may not succeed.", strings.Join(failed, ", "))
	}
	if p.Logins == nil {
		return found
	}
	own, err := p.Logins.Lookup(ctx, c.Image)
	if err != nil {
		p.events.warn(pod, c.Name, reasonNoPullSecret, "Unable to use docker's own credentials for image %q: %v", c.Image, err)
	}
	return append(found, own...)
}

func (p *pod) podCredentials(ctx context.Context, pod *corev1.Pod, image string) (found []container.Credential, failed []string) {
	for _, ref := range p.pullSecrets(ctx, pod) {
		secret, err := p.Client.CoreV1().Secrets(pod.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
		if err != nil {
			failed = append(failed, ref.Name)
			continue
		}
		ring, err := ringOf(secret)
		if err != nil {
			p.log.Warn("a pull secret is of no use", "secret", ref.Name, "error", err)
			failed = append(failed, ref.Name)
			continue
		}
		found = append(found, ring.Lookup(image)...)
	}
	return found, failed
}

// pullSecrets are the Pod's, or else those of its service account.
func (p *pod) pullSecrets(ctx context.Context, pod *corev1.Pod) []corev1.LocalObjectReference {
	if len(pod.Spec.ImagePullSecrets) > 0 {
		return pod.Spec.ImagePullSecrets
	}
	account, err := p.Client.CoreV1().ServiceAccounts(pod.Namespace).Get(ctx, pod.Spec.ServiceAccountName, metav1.GetOptions{})
	if err != nil {
		if !apierrors.IsNotFound(err) {
			p.log.Warn("the service account's pull secrets are not known", "account", pod.Spec.ServiceAccountName, "error", err)
		}
		return nil
	}
	return account.ImagePullSecrets
}

func ringOf(secret *corev1.Secret) (keyring.Keyring, error) {
	switch secret.Type {
	case corev1.SecretTypeDockerConfigJson:
		return keyring.Parse(secret.Data[corev1.DockerConfigJsonKey])
	case corev1.SecretTypeDockercfg:
		return keyring.ParseLegacy(secret.Data[corev1.DockerConfigKey])
	}
	return nil, fmt.Errorf("read registry credentials: a secret of type %s holds none", secret.Type)
}
