package resource

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/utils/ptr"
)

const (
	tokenPath   = "/var/run/secrets/kubernetes.io/serviceaccount"
	tokenPrefix = "kube-api-access-"
	rootCAName  = "kube-root-ca.crt"
	// A little more than an hour, as in Kubernetes.
	tokenSeconds = 60*60 + 7
)

// admitAccount gives a new Pod what its service account has for it: a volume
// with a token for the API, unless one of the two does not want it.
func admitAccount(p *corev1.Pod, look Lookup) error {
	sa, err := accountOf(p, look)
	if err != nil {
		return err
	}
	if len(p.Spec.ImagePullSecrets) == 0 {
		p.Spec.ImagePullSecrets = slices.Clone(sa.ImagePullSecrets)
	}
	wanted := ptr.Deref(sa.AutomountServiceAccountToken, true)
	if ptr.Deref(p.Spec.AutomountServiceAccountToken, wanted) {
		mountToken(&p.Spec)
	}
	return nil
}

// accountOf is the Pod's service account. The default one, which every
// namespace is about to get, need not be there yet.
func accountOf(p *corev1.Pod, look Lookup) (*corev1.ServiceAccount, error) {
	name := p.Spec.ServiceAccountName
	found, err := look(corev1.SchemeGroupVersion.WithResource("serviceaccounts"), p.Namespace, name)
	switch {
	case apierrors.IsNotFound(err) && name == "default":
		return &corev1.ServiceAccount{}, nil
	case apierrors.IsNotFound(err):
		return nil, apierrors.NewForbidden(corev1.Resource("pods"), p.Name,
			fmt.Errorf("error looking up service account %s/%s: serviceaccount %q not found", p.Namespace, name, name))
	case err != nil:
		return nil, err
	}
	return found.(*corev1.ServiceAccount), nil
}

func mountToken(spec *corev1.PodSpec) {
	volume := tokenVolume()
	at := slices.IndexFunc(spec.Volumes, func(v corev1.Volume) bool { return strings.HasPrefix(v.Name, tokenPrefix) })
	if at >= 0 {
		volume = spec.Volumes[at]
	}
	mount, used := corev1.VolumeMount{Name: volume.Name, ReadOnly: true, MountPath: tokenPath}, false
	for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range containers {
			c := &containers[i]
			if !slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == tokenPath }) {
				c.VolumeMounts = append(c.VolumeMounts, mount)
				used = true
			}
		}
	}
	if used && at < 0 {
		spec.Volumes = append(spec.Volumes, volume)
	}
}

// tokenVolume holds what a client within the cluster needs.
func tokenVolume() corev1.Volume {
	return corev1.Volume{
		Name: tokenPrefix + rand.String(5),
		VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			DefaultMode: ptr.To(corev1.ProjectedVolumeSourceDefaultMode),
			Sources: []corev1.VolumeProjection{
				{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: ptr.To[int64](tokenSeconds)}},
				{ConfigMap: &corev1.ConfigMapProjection{
					LocalObjectReference: corev1.LocalObjectReference{Name: rootCAName},
					Items:                []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}},
				}},
				{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{
					Path: "namespace", FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"},
				}}}},
			},
		}},
	}
}
