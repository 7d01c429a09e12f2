package apiserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"skiff/orchestrator/resource"
)

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestTokens forges tokens of every kind; only the real one gets in.
func TestTokens(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	api := newTestAPI(t, false, func(o *Options) { o.Tokens, o.Resources = key, resource.All(resource.Options{}) })
	client := api.typed(t, "application/json")
	accounts := client.CoreV1().ServiceAccounts("default")
	sa, err := accounts.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "builder"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	made, err := accounts.CreateToken(t.Context(), "builder", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(made.Status.ExpirationTimestamp.Time); left < 59*time.Minute || left > time.Hour {
		t.Errorf("expires in %s", left)
	}
	good, err := parseToken(key.Public(), made.Status.Token, time.Now())
	if err != nil || good.Subject != "system:serviceaccount:default:builder" {
		t.Fatalf("%+v, %v", good, err)
	}
	forge := func(signer *ecdsa.PrivateKey, change func(*claims)) string {
		c := good
		change(&c)
		text, err := signToken(signer, c)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	parts := strings.Split(made.Status.Token, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`))
	for _, c := range []struct {
		name, header string
		code         int
	}{
		{"the real one", "Bearer " + made.Status.Token, http.StatusOK},
		{"nothing", "", http.StatusUnauthorized},
		{"no token", "Bearer ", http.StatusUnauthorized},
		{"another scheme", "Basic " + made.Status.Token, http.StatusUnauthorized},
		{"another key", "Bearer " + forge(newKey(t), func(*claims) {}), http.StatusUnauthorized},
		{"no algorithm", "Bearer " + none + "." + parts[1] + ".", http.StatusUnauthorized},
		{"another header", "Bearer " + none + "." + parts[1] + "." + parts[2], http.StatusUnauthorized},
		{"no signature", "Bearer " + parts[0] + "." + parts[1] + ".", http.StatusUnauthorized},
		{"expired", "Bearer " + forge(key, func(c *claims) { c.Expires = time.Now().Unix() }), http.StatusUnauthorized},
		{"not yet good", "Bearer " + forge(key, func(c *claims) { c.NotBefore = time.Now().Unix() + 60 }), http.StatusUnauthorized},
		{"another issuer", "Bearer " + forge(key, func(c *claims) { c.Issuer = "https://example.com" }), http.StatusUnauthorized},
		{"another audience", "Bearer " + forge(key, func(c *claims) { c.Audience = []string{"vault"} }), http.StatusUnauthorized},
		{"an earlier account", "Bearer " + forge(key, func(c *claims) { c.Bound.ServiceAccount.UID = "x" }), http.StatusUnauthorized},
		{"an unknown Pod", "Bearer " + forge(key, func(c *claims) { c.Bound.Pod = &named{"gone", "x"} }), http.StatusUnauthorized},
	} {
		req := httptest.NewRequest(http.MethodGet, "/api/v1/namespaces/default/configmaps", nil)
		req.Header.Set("Authorization", c.header)
		w := httptest.NewRecorder()
		api.Outside().ServeHTTP(w, req)
		if w.Code != c.code {
			t.Errorf("%s: %d %s", c.name, w.Code, w.Body)
		}
	}
	if err := accounts.Delete(t.Context(), sa.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := accounts.CreateToken(t.Context(), "builder", &authenticationv1.TokenRequest{}, metav1.CreateOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("a token for nobody: %v", err)
	}
}

func TestTokenRequestIsChecked(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	api := newTestAPI(t, false, func(o *Options) { o.Tokens, o.Resources = key, resource.All(resource.Options{}) })
	accounts := api.typed(t, "application/json").CoreV1().ServiceAccounts("default")
	if _, err := accounts.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "a"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for want, spec := range map[string]authenticationv1.TokenRequestSpec{
		`TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes`: {
			ExpirationSeconds: ptr.To[int64](599)},
		`TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: 4294967297: may not specify a duration larger than 2^32 seconds`: {
			ExpirationSeconds: ptr.To[int64](1<<32 + 1)},
		`pods "none" not found`: {BoundObjectRef: &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: "none"}},
		`cannot bind token for serviceaccount "a" to object of type v1/Secret: only to a Pod`: {
			BoundObjectRef: &authenticationv1.BoundObjectReference{Kind: "Secret", APIVersion: "v1", Name: "s"}},
	} {
		_, err := accounts.CreateToken(t.Context(), "a", &authenticationv1.TokenRequest{Spec: spec}, metav1.CreateOptions{})
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestActingByGet: what a subresource does by a GET is no reading.
func TestActingByGet(t *testing.T) {
	t.Parallel()
	a := &account{namespace: "default", name: "default"}
	pods := newKind(testPods())
	for subresource, want := range map[string]bool{"": true, "status": true, "log": true, "exec": false, "attach": false, "portforward": false, "proxy": false} {
		if got := a.may("get", &request{kind: pods, namespace: "default", name: "web", subresource: subresource}); got != want {
			t.Errorf("%q: %t", subresource, got)
		}
	}
}

// TestStrangersAreNotWaitedFor: who is refused cannot keep a connection by a
// body that never comes.
func TestStrangersAreNotWaitedFor(t *testing.T) {
	t.Parallel()
	api := newTestAPI(t, false)
	server := httptest.NewServer(api.Outside())
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 401 ") {
		t.Errorf("the answer is %q, %v", answer, err)
	}
}
