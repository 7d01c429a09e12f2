package apiserver

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// answerOf sends what may be anything and checks that the answer is one: no
// panic, a code that exists, and a Status where it is an error.
func answerOf(t *testing.T, api *testAPI, method, path, query, contentType, body string) {
	t.Helper()
	req := httptest.NewRequest(http.MethodGet, "/", strings.NewReader(body)).WithContext(t.Context())
	req.Method, req.URL = method, &url.URL{Path: path, RawQuery: query}
	req.Header.Set("Content-Type", contentType)
	if req.URL.Query().Has("watch") {
		return // it would last
	}
	recorder := httptest.NewRecorder()
	api.ServeHTTP(recorder, req)
	res := recorder.Result()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode == http.StatusInternalServerError {
		t.Errorf("%s %s?%s with %q %q: %s", method, path, query, contentType, body, text)
	}
	if res.StatusCode >= 400 && method != http.MethodHead {
		parseStatus(t, string(text))
	}
}

func FuzzRequest(f *testing.F) {
	api := newTestAPI(f, false)
	mustCreateMaps(f, api, "a", "b")
	f.Add("GET", configMaps, "labelSelector=a%3Db&fieldSelector=metadata.name%3Da&limit=1&continue=x")
	f.Add("GET", configMaps, "resourceVersion=3&resourceVersionMatch=Exact&timeoutSeconds=-1")
	f.Add("GET", configMaps+"/a", "pretty=&resourceVersion=-1")
	f.Add("DELETE", deployments, "gracePeriodSeconds=-1&propagationPolicy=Orphan&dryRun=All")
	f.Add("PATCH", "/api/v1/namespaces/default/pods/a/status", "force=true&fieldManager=%00")
	f.Add("PUT", "/apis/apps/v1//namespaces/default/deployments/x/scale/y", "fieldValidation=Strict")
	f.Add("HEAD", "/openapi/v3/../v2", "")
	f.Add("", "//", "")
	f.Fuzz(func(t *testing.T, method, path, query string) {
		answerOf(t, api, method, path, query, "application/json", `{"metadata":{"generateName":"x"}}`)
	})
}

func FuzzBody(f *testing.F) {
	api := newTestAPI(f, false)
	f.Add("application/json", `{"metadata":{"name":"x"},"spec":{"template":{"spec":{"containers":[{"resources":{"limits":{"cpu":"1e99"}}}]}}}}`)
	f.Add("application/yaml", "metadata: {name: &a x, labels: {<<: *a}}\n---\nx")
	f.Add("application/json; charset=utf-8", `{"kind":"List","apiVersion":"v1","items":[]}`)
	f.Add("application/vnd.kubernetes.protobuf", "k8s\x00\x0a\x15\x0a\x07apps/v1\x12\x0aDeployment\x12\x00")
	f.Fuzz(func(t *testing.T, contentType, body string) {
		answerOf(t, api, "POST", deployments, "dryRun=All", contentType, body)
		answerOf(t, api, "DELETE", deployments+"/none", "", contentType, body)
	})
}

func FuzzPatch(f *testing.F) {
	api := newTestAPI(f, false)
	if res, body := api.do(f, "POST", deployments, webDeployment); res.StatusCode != http.StatusCreated {
		f.Fatal(body)
	}
	for i := range patchTypes {
		f.Add(i, `{"spec":{"template":{"spec":{"containers":[{"name":"one","$patch":"delete"}],"$setElementOrder/containers":[{"name":"two"}]}}}}`)
		f.Add(i, `[{"op":"move","from":"/spec","path":"/spec/template"},{"op":"add","path":"/metadata/labels/-","value":1}]`)
		f.Add(i, `{"spec":{"$retainKeys":["template"],"strategy":{"$patch":"replace"},"$deleteFromPrimitiveList/x":[1]},"metadata":null}`)
	}
	f.Fuzz(func(t *testing.T, kind int, body string) {
		answerOf(t, api, "PATCH", deployments+"/web", "dryRun=All", patchTypes[max(kind, -kind, 0)%len(patchTypes)], body)
	})
}
