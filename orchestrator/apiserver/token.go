package apiserver

import (
	"fmt"
	"math"
	"net/http"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var (
	tokenGVK   = authenticationv1.SchemeGroupVersion.WithKind("TokenRequest")
	podGVR     = corev1.SchemeGroupVersion.WithResource("pods")
	accountGVR = corev1.SchemeGroupVersion.WithResource("serviceaccounts")
)

const (
	defaultTokenLife = int64(3600)
	leastTokenLife   = int64(600)
	// A clock that steps back must not make a new token one of the future.
	tokenBackdate = time.Minute
)

// createToken makes a token for a service account.
func (s *Server) createToken(r *request) error {
	options, err := r.createOptions()
	if err != nil {
		return err
	}
	asked := &authenticationv1.TokenRequest{}
	if err := r.decodeBody(tokenGVK, asked, options.fieldValidation); err != nil {
		return err
	}
	found, err := s.read(r.kind, r.namespace, r.name)
	if err != nil {
		return err
	}
	if err := defaultTokenRequest(&asked.Spec); err != nil {
		return err
	}
	now := time.Now()
	expires := now.Add(time.Duration(*asked.Spec.ExpirationSeconds) * time.Second)
	c := claims{
		Issuer: issuer, Subject: accountName(r.namespace, r.name), Audience: asked.Spec.Audiences, ID: string(uuid.NewUUID()),
		IssuedAt: now.Unix(), NotBefore: now.Add(-tokenBackdate).Unix(), Expires: expires.Unix(),
		Bound: boundTo{Namespace: r.namespace, ServiceAccount: named{r.name, string(found.object.GetUID())}},
	}
	if c.Bound.Pod, err = s.boundPod(r, asked.Spec.BoundObjectRef); err != nil {
		return err
	}
	asked.ObjectMeta = metav1.ObjectMeta{Name: r.name, Namespace: r.namespace, CreationTimestamp: metav1.NewTime(now)}
	asked.Status.ExpirationTimestamp = metav1.NewTime(expires)
	if asked.Status.Token, err = signToken(s.tokens, c); err != nil {
		return err
	}
	asked.SetGroupVersionKind(tokenGVK)
	r.out.as = ""
	return s.encodeAnswer(r, http.StatusCreated, asked)
}

func defaultTokenRequest(spec *authenticationv1.TokenRequestSpec) error {
	if len(spec.Audiences) == 0 {
		spec.Audiences = []string{issuer}
	}
	if spec.ExpirationSeconds == nil {
		life := defaultTokenLife
		spec.ExpirationSeconds = &life
	}
	at, problem := field.NewPath("spec", "expirationSeconds"), ""
	switch life := *spec.ExpirationSeconds; {
	case life < leastTokenLife:
		problem = "may not specify a duration less than 10 minutes"
	case life > math.MaxUint32+1:
		problem = "may not specify a duration larger than 2^32 seconds"
	default:
		return nil
	}
	return apierrors.NewInvalid(tokenGVK.GroupKind(), "", field.ErrorList{field.Invalid(at, *spec.ExpirationSeconds, problem)})
}

// boundPod is the Pod with which a token ends.
func (s *Server) boundPod(r *request, ref *authenticationv1.BoundObjectReference) (*named, error) {
	if ref == nil {
		return nil, nil
	}
	if ref.Kind != "Pod" || ref.APIVersion != "v1" {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("cannot bind token for serviceaccount %q to object of type %s/%s: only to a Pod", r.name, ref.APIVersion, ref.Kind))
	}
	found, err := s.read(s.kinds[podGVR], r.namespace, ref.Name)
	if err != nil {
		return nil, err
	}
	pod := found.object.(*corev1.Pod)
	if pod.Spec.ServiceAccountName != r.name {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("cannot bind token for serviceaccount %q to pod running with different serviceaccount name.", r.name))
	}
	if ref.UID != "" && ref.UID != pod.UID {
		return nil, apierrors.NewConflict(podGVR.GroupResource(), ref.Name, fmt.Errorf(
			"the UID in the bound object reference (%s) does not match the UID in record. The object might have been deleted and then recreated", ref.UID))
	}
	return &named{pod.Name, string(pod.UID)}, nil
}

func accountName(namespace, name string) string {
	return "system:serviceaccount:" + namespace + ":" + name
}
