package apiserver

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/openapi/cached"
	"k8s.io/client-go/openapi3"
	explain "k8s.io/kubectl/pkg/explain/v2"
	"k8s.io/kubectl/pkg/util/openapi"
)

func (a *testAPI) discovery(t testing.TB) *discovery.DiscoveryClient {
	t.Helper()
	client, err := discovery.NewDiscoveryClientForConfig(a.config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// kubectl leaves checking fields to a server that says it does.
func TestOpenAPITellsOfFieldValidation(t *testing.T) {
	t.Parallel()
	api := newTestAPI(t, false)
	verifier := resource.NewQueryParamVerifierV3(api.dynamic(t), cached.NewClient(api.discovery(t).OpenAPIV3()), resource.QueryParamFieldValidation)
	for _, k := range api.order {
		if err := verifier.HasSupport(k.GVK); err != nil {
			t.Errorf("%s: %v", k.GVK, err)
		}
	}
	second := resource.NewQueryParamVerifier(api.dynamic(t), api.discovery(t), resource.QueryParamFieldValidation)
	if err := second.HasSupport(appsv1.SchemeGroupVersion.WithKind("Deployment")); err != nil {
		t.Errorf("version 2: %v", err)
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	api := newTestAPI(t, false)
	var out bytes.Buffer
	err := explain.PrintModelDescription([]string{"spec", "strategy", "rollingUpdate"}, &out, api.discovery(t).OpenAPIV3(),
		schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}, false, 0, "plaintext")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"KIND:       Deployment", "FIELD: rollingUpdate <RollingUpdateDeployment>", "maxSurge\t<IntOrString>"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	out.Reset()
	err = explain.PrintModelDescription([]string{"spec"}, &out, api.discovery(t).OpenAPIV3(),
		schema.GroupVersionResource{Version: "v1", Resource: "pods"}, true, 0, "plaintext")
	if err != nil || !strings.Contains(out.String(), "containers\t<[]Container> -required-") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// kubectl apply reads from the document how lists are merged.
func TestOpenAPIPatchRules(t *testing.T) {
	t.Parallel()
	api := newTestAPI(t, false)
	document, err := openapi3.NewRoot(api.discovery(t).OpenAPIV3()).GVSpec(appsv1.SchemeGroupVersion)
	if err != nil {
		t.Fatal(err)
	}
	patch := document.Paths.Paths[`/apis/apps/v1/namespaces/{namespace}/deployments/{name}`].Patch
	if patch.RequestBody.Content["application/strategic-merge-patch+json"] == nil {
		t.Error("strategic merge patch is not offered")
	}
	meta := strategicpatch.PatchMetaFromOpenAPIV3{
		Schema: document.Components.Schemas["io.k8s.api.apps.v1.Deployment"], SchemaList: document.Components.Schemas,
	}
	old := []byte(`{"spec":{"template":{"spec":{"containers":[{"name":"a","image":"1"},{"name":"b","image":"1"}]}}}}`)
	next := []byte(strings.Replace(string(old), `"b","image":"1"`, `"b","image":"2"`, 1))
	got, err := strategicpatch.CreateTwoWayMergePatchUsingLookupPatchMeta(old, next, meta)
	want := `{"spec":{"template":{"spec":{"$setElementOrder/containers":[{"name":"a"},{"name":"b"}],"containers":[{"image":"2","name":"b"}]}}}}`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
}

func TestOpenAPIv2(t *testing.T) {
	t.Parallel()
	api := newTestAPI(t, true)
	parsed, err := openapi.NewOpenAPIParser(api.discovery(t)).Parse()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range api.order {
		if parsed.LookupResource(k.GVK) == nil {
			t.Errorf("%s is not described", k.GVK)
		}
	}
	if _, body := api.do(t, "GET", "/openapi/v2", ""); !strings.Contains(body, `"#/definitions/io.k8s.api.apps.v1.DeploymentSpec"`) {
		t.Errorf("%.300s", body)
	}
}

func TestOpenAPIETag(t *testing.T) {
	t.Parallel()
	api := newTestAPI(t, false)
	res, _ := api.do(t, "GET", "/openapi/v3/api/v1", "")
	etag := res.Header.Get("ETag")
	res, body := api.do(t, "GET", "/openapi/v3/api/v1", "", "If-None-Match", etag)
	if etag == "" || res.StatusCode != http.StatusNotModified || body != "" {
		t.Errorf("%q: %d, %d bytes", etag, res.StatusCode, len(body))
	}
	if res, _ := api.do(t, "GET", "/openapi/v3/apis/none/v1", ""); res.StatusCode != 404 {
		t.Errorf("unknown group: %d", res.StatusCode)
	}
}
