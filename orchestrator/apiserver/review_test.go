package apiserver

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/orchestrator/resource"
)

// TestReviews: what a client is told that it may do is what it may.
func TestReviews(t *testing.T) {
	t.Parallel()
	api := newTestAPI(t, false, func(o *Options) { o.Tokens, o.Resources = newKey(t), resource.All(resource.Options{}) })
	client := api.typed(t, "application/json")
	if _, err := client.CoreV1().ServiceAccounts("default").Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "builder"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	token, err := client.CoreV1().ServiceAccounts("default").CreateToken(t.Context(), "builder", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(path string, question, answer any) {
		t.Helper()
		body, err := json.Marshal(question)
		if err != nil {
			t.Fatal(err)
		}
		req := httptest.NewRequest(http.MethodPost, path, strings.NewReader(string(body)))
		req.Header.Set("Authorization", "Bearer "+token.Status.Token)
		req.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		api.Outside().ServeHTTP(w, req)
		if err := json.Unmarshal(w.Body.Bytes(), answer); w.Code != http.StatusCreated || err != nil {
			t.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	const authorization = "/apis/authorization.k8s.io/v1/"
	for _, test := range []struct {
		verb, group, resource, subresource, namespace string
		account                                       bool
	}{
		{"get", "", "pods", "", "default", true},
		{"list", "apps", "deployments", "", "default", true},
		{"watch", "", "configmaps", "", "default", true},
		{"get", "", "pods", "log", "default", true},
		{"get", "", "pods", "exec", "default", false},
		{"create", "", "pods", "", "default", false},
		{"*", "*", "*", "", "", false},
		{"list", "", "pods", "", "", false},
		{"get", "", "pods", "", "other", false},
		{"get", "", "secrets", "", "default", false},
		{"get", "", "nodes", "", "", false},
		{"get", "example.com", "things", "", "default", false},
	} {
		question := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
			Verb: test.verb, Group: test.group, Resource: test.resource, Subresource: test.subresource, Namespace: test.namespace,
		}}}
		users, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(t.Context(), question, metav1.CreateOptions{})
		if err != nil || !users.Status.Allowed {
			t.Errorf("%+v: the user: %+v, %v", test, users, err)
		}
		var accounts authorizationv1.SelfSubjectAccessReview
		if ask(authorization+"selfsubjectaccessreviews", question, &accounts); accounts.Status.Allowed != test.account {
			t.Errorf("%+v: the account is told %t", test, accounts.Status.Allowed)
		}
	}

	for path, account := range map[string]bool{"/version": true, "/metrics": false, "/metrics/more": false} {
		question := &authorizationv1.SelfSubjectAccessReview{
			Spec: authorizationv1.SelfSubjectAccessReviewSpec{NonResourceAttributes: &authorizationv1.NonResourceAttributes{Verb: "get", Path: path}},
			// What is asked is not what is answered.
			Status: authorizationv1.SubjectAccessReviewStatus{Denied: true, Reason: "because"},
		}
		users, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(t.Context(), question, metav1.CreateOptions{})
		if err != nil || users.Status != (authorizationv1.SubjectAccessReviewStatus{Allowed: true}) {
			t.Errorf("%s: the user: %+v, %v", path, users, err)
		}
		var accounts authorizationv1.SelfSubjectAccessReview
		if ask(authorization+"selfsubjectaccessreviews", question, &accounts); accounts.Status != (authorizationv1.SubjectAccessReviewStatus{Allowed: account}) {
			t.Errorf("%s: the account is told %+v", path, accounts.Status)
		}
	}
	if _, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(t.Context(), &authorizationv1.SelfSubjectAccessReview{}, metav1.CreateOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("who asks for nothing is told %v", err)
	}

	if _, err := client.AuthorizationV1().SelfSubjectRulesReviews().Create(t.Context(), &authorizationv1.SelfSubjectRulesReview{}, metav1.CreateOptions{}); !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), "no namespace on request") {
		t.Errorf("who asks for the rules of no namespace is told %v", err)
	}

	rules := &authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: "default"}}
	users, err := client.AuthorizationV1().SelfSubjectRulesReviews().Create(t.Context(), rules, metav1.CreateOptions{})
	if err != nil || len(users.Status.ResourceRules) != 1 || users.Status.ResourceRules[0].Verbs[0] != "*" {
		t.Errorf("the user's rules: %+v, %v", users, err)
	}
	var accounts authorizationv1.SelfSubjectRulesReview
	if ask(authorization+"selfsubjectrulesreviews", rules, &accounts); !accounts.Status.Incomplete || len(accounts.Status.ResourceRules) != 1 {
		t.Errorf("the account's rules: %+v", accounts.Status)
	}

	me, err := client.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil || me.Status.UserInfo.Username != "skiff-admin" {
		t.Errorf("the user is %+v, %v", me, err)
	}
	var account authenticationv1.SelfSubjectReview
	if ask("/apis/authentication.k8s.io/v1/selfsubjectreviews", &account, &account); account.Status.UserInfo.Username != "system:serviceaccount:default:builder" {
		t.Errorf("the account is %+v", account.Status.UserInfo)
	}
	if res, _ := api.do(t, http.MethodGet, authorization+"selfsubjectaccessreviews", ""); res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("a list of questions: %d", res.StatusCode)
	}
}
