package apiserver

import (
	"fmt"
	"net/http"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// review answers what a client asks about itself: who it is and what it may do.
func (s *Server) review(r *request) error {
	options, err := r.createOptions()
	if err != nil {
		return err
	}
	obj := r.kind.New()
	if err := r.decodeBody(r.kind.GVK, obj, options.fieldValidation); err != nil {
		return err
	}
	switch asked := obj.(type) {
	case *authorizationv1.SelfSubjectAccessReview:
		if (asked.Spec.ResourceAttributes == nil) == (asked.Spec.NonResourceAttributes == nil) {
			return apierrors.NewInvalid(r.kind.GVK.GroupKind(), "", field.ErrorList{field.Invalid(field.NewPath("spec"), asked.Spec,
				"exactly one of nonResourceAttributes or resourceAttributes must be specified")})
		}
		asked.Status = authorizationv1.SubjectAccessReviewStatus{Allowed: s.allowed(r.account, asked.Spec)}
	case *authorizationv1.SelfSubjectRulesReview:
		if asked.Spec.Namespace == "" {
			return apierrors.NewBadRequest("no namespace on request")
		}
		asked.Status = r.account.rules(asked.Spec.Namespace)
	case *authenticationv1.SelfSubjectReview:
		asked.Status.UserInfo = r.account.info()
	default:
		return fmt.Errorf("answer a %s: unknown question", r.kind.GVK.Kind)
	}
	return s.answer(r, http.StatusCreated, obj)
}

// allowed says what authorize would, and of a path what is served.
func (s *Server) allowed(a *account, spec authorizationv1.SelfSubjectAccessReviewSpec) bool {
	if a == nil {
		return true
	}
	if path := spec.NonResourceAttributes; path != nil {
		return path.Verb == "get" && a.maySee(path.Path)
	}
	asked := spec.ResourceAttributes
	for _, k := range s.order {
		if k.GVK.Group == asked.Group && k.Plural == asked.Resource {
			return a.may(asked.Verb, &request{kind: k, namespace: asked.Namespace, name: asked.Name, subresource: asked.Subresource})
		}
	}
	return false
}

// rules are what somebody may do in a namespace.
func (a *account) rules(namespace string) authorizationv1.SubjectRulesReviewStatus {
	all := []string{"*"}
	status := authorizationv1.SubjectRulesReviewStatus{
		ResourceRules: []authorizationv1.ResourceRule{}, NonResourceRules: []authorizationv1.NonResourceRule{},
	}
	switch {
	case a == nil:
		status.ResourceRules = append(status.ResourceRules, authorizationv1.ResourceRule{Verbs: all, APIGroups: all, Resources: all})
		status.NonResourceRules = append(status.NonResourceRules, authorizationv1.NonResourceRule{Verbs: all, NonResourceURLs: all})
	case namespace == a.namespace: // a list of rules cannot leave anything out, as the secrets are
		status.Incomplete = true
		status.ResourceRules = append(status.ResourceRules, authorizationv1.ResourceRule{
			Verbs: readVerbs, APIGroups: []string{""}, Resources: []string{"pods", "services", "endpoints", "configmaps", "events"},
		})
	}
	return status
}

// info is who somebody is, in the words of the certificate and of the tokens.
func (a *account) info() authenticationv1.UserInfo {
	const everybody = "system:authenticated"
	if a == nil {
		return authenticationv1.UserInfo{Username: adminName, Groups: []string{adminGroup, everybody}}
	}
	return authenticationv1.UserInfo{
		Username: accountName(a.namespace, a.name),
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + a.namespace, everybody},
	}
}
