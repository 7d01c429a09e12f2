package apiserver

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// account is a service account on whose behalf a request comes. Its token is in
// every Pod of the account, so it may look at its own namespace, ask what it may, and do nothing.
type account struct{ namespace, name string }

// refusedPatience is how long the rest of a refused request may take.
const refusedPatience = time.Second

// Outside serves clients that must say who they are: the instance's user by the
// certificate of the kubeconfig, which may do everything, service accounts by a
// token. The Server itself trusts whoever calls it.
func (s *Server) Outside() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r := &request{Request: req, w: w, query: req.URL.Query(), outside: true}
		if req.TLS == nil || len(req.TLS.VerifiedChains) == 0 {
			var err error
			if r.account, err = s.authenticate(req); err != nil {
				s.log.Debug("request refused", "path", req.URL.Path, "error", err)
				req.Body = http.NoBody
				// What a stranger still says is read before the answer, to keep the connection.
				_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(refusedPatience))
				s.fail(r, apierrors.NewUnauthorized("Unauthorized"))
				return
			}
		}
		s.serveOne(r)
	})
}

// authenticate finds out whose token comes with a request. A token ends with its
// account and with its Pod.
func (s *Server) authenticate(req *http.Request) (*account, error) {
	token, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
	if !ok || s.tokens == nil {
		return nil, errBadToken
	}
	c, err := parseToken(s.tokens.Public(), strings.TrimSpace(token), time.Now())
	if err != nil {
		return nil, err
	}
	if !slices.Contains(c.Audience, issuer) {
		return nil, fmt.Errorf("the token is for %q", c.Audience)
	}
	b := c.Bound
	found, err := s.read(s.kinds[accountGVR], b.Namespace, b.ServiceAccount.Name)
	if err != nil {
		return nil, err
	}
	if string(found.object.GetUID()) != b.ServiceAccount.UID {
		return nil, fmt.Errorf("the token is of an earlier service account %s/%s", b.Namespace, b.ServiceAccount.Name)
	}
	if b.Pod != nil {
		if found, err = s.read(s.kinds[podGVR], b.Namespace, b.Pod.Name); err != nil {
			return nil, err
		}
		if string(found.object.GetUID()) != b.Pod.UID {
			return nil, fmt.Errorf("the token is of an earlier Pod %s/%s", b.Namespace, b.Pod.Name)
		}
	}
	return &account{namespace: b.Namespace, name: b.ServiceAccount.Name}, nil
}

var readVerbs = []string{"get", "list", "watch"}

// readable are the subresources that only tell something. The others act, some
// of them by a GET.
var readable = []string{"", "status", "scale", "log"}

// may says whether an account may do what a request asks for.
func (a *account) may(verb string, r *request) bool {
	if r.kind.Review {
		return verb == "create"
	}
	if !slices.Contains(readVerbs, verb) || !slices.Contains(readable, r.subresource) {
		return false
	}
	switch r.kind.GVK {
	case corev1.SchemeGroupVersion.WithKind("Secret"):
		return false
	case corev1.SchemeGroupVersion.WithKind("Namespace"):
		return r.name == a.namespace
	}
	return r.kind.Namespaced && r.namespace == a.namespace
}

// maySee says whether an account may see what is served at a path beside the
// resources. Metrics tell of every namespace.
func (a *account) maySee(path string) bool {
	first, _, _ := strings.Cut(strings.Trim(path, "/"), "/")
	return first != "metrics"
}

// authorize refuses what the request's account may not do.
func (r *request) authorize(verb string) error {
	a := r.account
	if a == nil || a.may(verb, r) {
		return nil
	}
	resource := r.kind.Plural
	if r.subresource != "" {
		resource += "/" + r.subresource
	}
	where := "at the cluster scope"
	if r.namespace != "" {
		where = fmt.Sprintf("in the namespace %q", r.namespace)
	}
	//lint:ignore ST1005 the words are Kubernetes'
	return apierrors.NewForbidden(r.kind.resource(), r.name, fmt.Errorf("User %q cannot %s resource %q in API group %q %s",
		accountName(a.namespace, a.name), verb, resource, r.kind.GVK.Group, where))
}
