package node

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// isProjected says whether a volume's files come out of the API.
func isProjected(v corev1.Volume) bool {
	return v.ConfigMap != nil || v.Secret != nil || v.DownwardAPI != nil || v.Projected != nil
}

// sourcesOf is a volume's content as the sources of a projected volume, which
// can say it all, and the mode of files that have none of their own.
func sourcesOf(v corev1.Volume) (sources []corev1.VolumeProjection, mode *int32) {
	switch {
	case v.ConfigMap != nil:
		return []corev1.VolumeProjection{{ConfigMap: &corev1.ConfigMapProjection{
			LocalObjectReference: v.ConfigMap.LocalObjectReference, Items: v.ConfigMap.Items, Optional: v.ConfigMap.Optional,
		}}}, v.ConfigMap.DefaultMode
	case v.Secret != nil:
		return []corev1.VolumeProjection{{Secret: &corev1.SecretProjection{
			LocalObjectReference: corev1.LocalObjectReference{Name: v.Secret.SecretName}, Items: v.Secret.Items, Optional: v.Secret.Optional,
		}}}, v.Secret.DefaultMode
	case v.DownwardAPI != nil:
		return []corev1.VolumeProjection{{DownwardAPI: &corev1.DownwardAPIProjection{Items: v.DownwardAPI.Items}}}, v.DownwardAPI.DefaultMode
	case v.Projected != nil:
		return v.Projected.Sources, v.Projected.DefaultMode
	}
	return nil, nil
}

// isOptional says whether some of a volume's files may be missing.
func isOptional(v corev1.Volume) bool {
	sources, _ := sourcesOf(v)
	return slices.ContainsFunc(sources, func(s corev1.VolumeProjection) bool {
		return s.ConfigMap != nil && ptr.Deref(s.ConfigMap.Optional, false) || s.Secret != nil && ptr.Deref(s.Secret.Optional, false)
	})
}

// content is what a volume's files are to be.
type content struct {
	files map[string]file
	renew time.Time // when a token in it should be replaced; zero: never
}

// file is one file of a volume.
type file struct {
	data []byte
	mode int32
	user *int64 // owner, where it is not skiff's user
}

// collect reads a volume's files from the API. It is asked itself rather than a
// cache, so that a Pod made right after its ConfigMap finds it.
func (p *pod) collect(ctx context.Context, pod *corev1.Pod, v corev1.Volume) (content, error) {
	sources, mode := sourcesOf(v)
	c := collector{pod: p, of: pod, mode: ptr.Deref(mode, 0o644), out: content{files: map[string]file{}}}
	for _, s := range sources {
		if err := c.add(ctx, s); err != nil {
			return content{}, err
		}
	}
	return c.out, nil
}

// collector gathers the files of one volume.
type collector struct {
	*pod
	of   *corev1.Pod
	mode int32
	out  content
}

func (c *collector) add(ctx context.Context, s corev1.VolumeProjection) error {
	switch {
	case s.ConfigMap != nil:
		return c.configMap(ctx, s.ConfigMap)
	case s.Secret != nil:
		return c.secret(ctx, s.Secret)
	case s.DownwardAPI != nil:
		return c.downward(s.DownwardAPI.Items)
	case s.ServiceAccountToken != nil:
		return c.token(ctx, s.ServiceAccountToken)
	}
	return errors.New("sources of this kind cannot be projected")
}

func (c *collector) configMap(ctx context.Context, s *corev1.ConfigMapProjection) error {
	cm, err := c.Client.CoreV1().ConfigMaps(c.namespace).Get(ctx, s.Name, metav1.GetOptions{})
	optional := ptr.Deref(s.Optional, false)
	if apierrors.IsNotFound(err) && optional {
		return nil
	}
	if err != nil {
		return missing(err, "configmap", s.Name)
	}
	data := map[string][]byte{}
	for key, value := range cm.Data {
		data[key] = []byte(value)
	}
	for key, value := range cm.BinaryData {
		data[key] = value
	}
	return c.pick(data, s.Items, optional, "configmap references non-existent config")
}

func (c *collector) secret(ctx context.Context, s *corev1.SecretProjection) error {
	secret, err := c.Client.CoreV1().Secrets(c.namespace).Get(ctx, s.Name, metav1.GetOptions{})
	optional := ptr.Deref(s.Optional, false)
	if apierrors.IsNotFound(err) && optional {
		return nil
	}
	if err != nil {
		return missing(err, "secret", s.Name)
	}
	return c.pick(secret.Data, s.Items, optional, "references non-existent secret")
}

// pick adds the keys that are asked for, all where none is.
func (c *collector) pick(data map[string][]byte, items []corev1.KeyToPath, optional bool, absent string) error {
	if len(items) == 0 {
		for key, value := range data {
			c.out.files[key] = file{data: value, mode: c.mode}
		}
		return nil
	}
	for _, item := range items {
		value, ok := data[item.Key]
		if !ok && optional {
			continue
		}
		if !ok {
			return fmt.Errorf("%s key: %s", absent, item.Key)
		}
		c.out.files[path.Clean(item.Path)] = file{data: value, mode: ptr.Deref(item.Mode, c.mode)}
	}
	return nil
}

func (c *collector) downward(items []corev1.DownwardAPIVolumeFile) error {
	for _, item := range items {
		value, err := c.fieldValue(item)
		if err != nil {
			return err
		}
		c.out.files[path.Clean(item.Path)] = file{data: []byte(value), mode: ptr.Deref(item.Mode, c.mode)}
	}
	return nil
}

func (c *collector) fieldValue(item corev1.DownwardAPIVolumeFile) (string, error) {
	f := facts{allocatable: c.capacity(0)}
	if item.FieldRef != nil {
		return f.field(c.of, item.FieldRef.FieldPath)
	}
	return f.resource(c.of, &corev1.Container{}, item.ResourceFieldRef)
}

// A token is replaced when a fifth of its life is left, and once a day, as the
// kubelet does.
const tokenLife = 24 * time.Hour

func (c *collector) token(ctx context.Context, s *corev1.ServiceAccountTokenProjection) error {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: s.ExpirationSeconds,
		BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: c.name, UID: c.uid},
	}}
	if s.Audience != "" {
		request.Spec.Audiences = []string{s.Audience}
	}
	if t, ok := c.tokens.get(c.uid, s, time.Now()); ok {
		c.addToken(s.Path, t)
		return nil
	}
	begun := time.Now()
	made, err := c.Client.CoreV1().ServiceAccounts(c.namespace).CreateToken(ctx, c.of.Spec.ServiceAccountName, request, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("failed to fetch token: %w", err)
	}
	life := min(tokenLife, made.Status.ExpirationTimestamp.Sub(begun)*4/5)
	t := token{text: made.Status.Token, renew: begun.Add(life)}
	c.tokens.put(c.uid, s, t)
	c.addToken(s.Path, t)
	return nil
}

func (c *collector) addToken(at string, t token) {
	c.out.renew = earliest(c.out.renew, t.renew)
	f := file{data: []byte(t.text), mode: c.mode, user: commonUser(c.of)}
	if f.user != nil || fsGroup(c.of) != nil {
		f.mode = 0o600 // its readers are known
	}
	c.out.files[path.Clean(at)] = f
}

// commonUser is the user that all containers run as, nil where they differ or
// do not say.
func commonUser(pod *corev1.Pod) *int64 {
	var users []*int64
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		var user *int64
		if sc := pod.Spec.SecurityContext; sc != nil {
			user = sc.RunAsUser
		}
		if sc := c.SecurityContext; sc != nil && sc.RunAsUser != nil {
			user = sc.RunAsUser
		}
		users = append(users, user)
	}
	for _, user := range users {
		if user == nil || *user != *users[0] {
			return nil
		}
	}
	return users[0]
}
