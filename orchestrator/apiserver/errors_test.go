package apiserver

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/orchestrator/resource"
)

func parseStatus(t *testing.T, body string) metav1.Status {
	t.Helper()
	var status metav1.Status
	if err := json.Unmarshal([]byte(body), &status); err != nil || status.Kind != "Status" || status.APIVersion != "v1" {
		t.Fatalf("not a Status (%v): %s", err, body)
	}
	return status
}

const (
	configMaps  = "/api/v1/namespaces/default/configmaps"
	deployments = "/apis/apps/v1/namespaces/default/deployments"
	jsonType    = "application/json"
)

// Every refusal is a Status with the right code, reason and words.
func TestErrors(t *testing.T) {
	t.Parallel()
	api := newTestAPI(t, false)
	if res, body := api.do(t, "POST", configMaps, `{"metadata":{"name":"taken"}}`); res.StatusCode != http.StatusCreated {
		t.Fatal(body)
	}
	for _, row := range []struct {
		name, method, path, body string
		headers                  []string
		code                     int
		reason                   metav1.StatusReason
		message                  string
	}{
		{"unknown path", "GET", "/nothing", "", nil, 404, metav1.StatusReasonNotFound, "the server could not find the requested resource"},
		{"unknown group", "GET", "/apis/none", "", nil, 404, metav1.StatusReasonNotFound, "the server could not find the requested resource"},
		{"unknown kind", "GET", "/api/v1/namespaces/default/unicorns", "", nil, 404, metav1.StatusReasonNotFound, ""},
		{"unknown subresource", "GET", configMaps + "/taken/status", "", nil, 404, metav1.StatusReasonNotFound, ""},
		{"no such object", "GET", configMaps + "/none", "", nil, 404, metav1.StatusReasonNotFound, `configmaps "none" not found`},
		{"no such deployment", "DELETE", deployments + "/none", "", nil, 404, metav1.StatusReasonNotFound, `deployments.apps "none" not found`},
		{"name taken", "POST", configMaps, `{"metadata":{"name":"taken"}}`, nil, 409, metav1.StatusReasonAlreadyExists, `configmaps "taken" already exists`},
		{"no namespace", "POST", "/api/v1/namespaces/none/configmaps", `{"metadata":{"name":"x"}}`, nil, 404, metav1.StatusReasonNotFound, `namespaces "none" not found`},
		{"another namespace", "POST", configMaps, `{"metadata":{"name":"x","namespace":"other"}}`, nil, 400, metav1.StatusReasonBadRequest, "the namespace of the provided object does not match the namespace sent on the request"},
		{"another name", "PUT", configMaps + "/taken", `{"metadata":{"name":"x"}}`, nil, 400, metav1.StatusReasonBadRequest, "the name of the object (x) does not match the name on the URL (taken)"},
		{"no name", "POST", configMaps, `{}`, nil, 422, metav1.StatusReasonInvalid, "metadata.name: Required value: name or generateName is required"},
		{"bad name", "POST", configMaps, `{"metadata":{"name":"A_b"}}`, nil, 422, metav1.StatusReasonInvalid, `metadata.name: Invalid value: "A_b"`},
		{"name with a slash", "POST", "/api/v1/namespaces/default/services", `{"metadata":{"name":"a/b"}}`, nil, 422, metav1.StatusReasonInvalid, `may not contain '/'`},
		{"bad label", "POST", configMaps, `{"metadata":{"name":"x","labels":{"a":"-"}}}`, nil, 422, metav1.StatusReasonInvalid, "metadata.labels"},
		{"version on create", "POST", configMaps, `{"metadata":{"name":"x","resourceVersion":"5"}}`, nil, 400, metav1.StatusReasonBadRequest, "resourceVersion should not be set on objects to be created"},
		{"no object", "POST", configMaps, ``, nil, 400, metav1.StatusReasonBadRequest, ""},
		{"bad JSON", "POST", configMaps, `{"metadata":`, nil, 400, metav1.StatusReasonBadRequest, ""},
		{"wrong type", "POST", deployments, `{"metadata":{"name":"x"},"spec":{"replicas":"three"}}`, nil, 400, metav1.StatusReasonBadRequest, `Deployment in version "apps/v1" cannot be handled as a Deployment: json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32`},
		{"another kind", "POST", configMaps, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"}}`, nil, 400, metav1.StatusReasonBadRequest, `Pod in version "v1" cannot be handled as a ConfigMap`},
		{"another version", "POST", deployments, `{"apiVersion":"extensions/v1beta1","kind":"Deployment"}`, nil, 400, metav1.StatusReasonBadRequest, ""},
		{"unknown field", "POST", deployments + "?fieldValidation=Strict", `{"metadata":{"name":"x"},"spec":{"foo":1}}`, nil, 400, metav1.StatusReasonBadRequest, `strict decoding error: unknown field "spec.foo"`},
		{"field twice", "POST", configMaps + "?fieldValidation=Strict", `{"metadata":{"name":"x"},"data":{"a":"1"},"data":{"a":"2"}}`, nil, 400, metav1.StatusReasonBadRequest, `duplicate field "data"`},
		{"unknown validation", "POST", configMaps + "?fieldValidation=Maybe", `{"metadata":{"name":"x"}}`, nil, 422, metav1.StatusReasonInvalid, "fieldValidation"},
		{"unknown dry run", "POST", configMaps + "?dryRun=Some", `{"metadata":{"name":"x"}}`, nil, 422, metav1.StatusReasonInvalid, `dryRun: Unsupported value: ["Some"]: supported values: "All"`},
		{"invalid object", "POST", deployments, `{"metadata":{"name":"x"},"spec":{"replicas":-1}}`, nil, 422, metav1.StatusReasonInvalid, `Deployment.apps "x" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0`},
		{"unknown body type", "POST", configMaps, `<xml/>`, []string{"Content-Type", "text/xml"}, 415, metav1.StatusReasonUnsupportedMediaType, "the body of the request was in an unknown format"},
		{"no patch type", "PATCH", configMaps + "/taken", `{}`, nil, 415, metav1.StatusReasonUnsupportedMediaType, ""},
		{"unknown answer type", "GET", configMaps, "", []string{"Accept", "text/html"}, 406, metav1.StatusReasonNotAcceptable, "only the following media types are accepted"},
		{"method on a collection", "PUT", configMaps, `{}`, nil, 405, metav1.StatusReasonMethodNotAllowed, `put is not supported on resources of kind "configmaps"`},
		{"method across namespaces", "POST", "/api/v1/configmaps", `{}`, nil, 405, metav1.StatusReasonMethodNotAllowed, ""},
		{"method of a subresource", "DELETE", deployments + "/x/scale", ``, nil, 405, metav1.StatusReasonMethodNotAllowed, ""},
		{"verb that the kind lacks", "DELETE", "/api/v1/namespaces", ``, nil, 405, metav1.StatusReasonMethodNotAllowed, ""},
		{"write to discovery", "POST", "/apis", ``, nil, 405, metav1.StatusReasonMethodNotAllowed, ""},
		{"too large", "POST", configMaps, `{"metadata":{"name":"x"},"data":{"a":"` + strings.Repeat("x", maxBody) + `"}}`, nil, 413, metav1.StatusReasonRequestEntityTooLarge, "limit is 3145728"},
		{"bad label selector", "GET", configMaps + "?labelSelector=%21%21", "", nil, 400, metav1.StatusReasonBadRequest, ""},
		{"bad field selector", "GET", configMaps + "?fieldSelector=a", "", nil, 400, metav1.StatusReasonBadRequest, ""},
		{"unknown field selector", "GET", configMaps + "?fieldSelector=spec.x%3D1", "", nil, 400, metav1.StatusReasonBadRequest, "field label not supported: spec.x"},
		{"version no number", "GET", configMaps + "?resourceVersion=abc", "", nil, 400, metav1.StatusReasonBadRequest, ""},
		{"version of the future", "GET", configMaps + "?resourceVersion=999999", "", nil, 504, metav1.StatusReasonTimeout, "Too large resource version: 999999, current: "},
		{"object of the future", "GET", configMaps + "/taken?resourceVersion=999999", "", nil, 504, metav1.StatusReasonTimeout, "Too large resource version"},
		{"bad continue", "GET", configMaps + "?limit=1&continue=xyz", "", nil, 400, metav1.StatusReasonBadRequest, "continue key is not valid"},
		{"match without version", "GET", configMaps + "?resourceVersionMatch=Exact", "", nil, 422, metav1.StatusReasonInvalid, ""},
		{"initial events of a list", "GET", configMaps + "?sendInitialEvents=true", "", nil, 422, metav1.StatusReasonInvalid, ""},
		{"limit no number", "GET", configMaps + "?limit=few", "", nil, 400, metav1.StatusReasonBadRequest, ""},
		{"both propagations", "DELETE", configMaps + "/taken?propagationPolicy=Orphan&orphanDependents=true", "", nil, 422, metav1.StatusReasonInvalid, ""},
		{"not delete options", "DELETE", configMaps + "/taken", `{"kind":"Pod"}`, nil, 400, metav1.StatusReasonBadRequest, ""},
		{"wrong uid", "DELETE", configMaps + "/taken", `{"preconditions":{"uid":"no"}}`, nil, 409, metav1.StatusReasonConflict, "the UID in the precondition (no) does not match the UID in record"},
		{"wrong version", "DELETE", configMaps + "/taken", `{"preconditions":{"resourceVersion":"1"}}`, nil, 409, metav1.StatusReasonConflict, "the ResourceVersion in the precondition (1) does not match"},
		{"stale update", "PUT", configMaps + "/taken", `{"metadata":{"name":"taken","resourceVersion":"1"}}`, nil, 409, metav1.StatusReasonConflict, `Operation cannot be fulfilled on configmaps "taken": the object has been modified; please apply your changes to the latest version and try again`},
		{"update of another", "PUT", configMaps + "/taken", `{"metadata":{"name":"taken","uid":"no"}}`, nil, 409, metav1.StatusReasonConflict, "Precondition failed: UID in precondition: no"},
		{"kept namespace", "DELETE", "/api/v1/namespaces/default", ``, nil, 403, metav1.StatusReasonForbidden, `namespaces "default" is forbidden: this namespace may not be deleted`},
	} {
		t.Run(row.name, func(t *testing.T) {
			headers := row.headers
			if headers == nil && row.method != http.MethodPatch {
				headers = []string{"Content-Type", jsonType}
			}
			res, body := api.do(t, row.method, row.path, row.body, headers...)
			status := parseStatus(t, body)
			if res.StatusCode != row.code || int(status.Code) != row.code || status.Reason != row.reason || status.Status != metav1.StatusFailure {
				t.Errorf("%d %+v, want %d %s", res.StatusCode, status, row.code, row.reason)
			}
			if !strings.Contains(status.Message, row.message) {
				t.Errorf("message %q, want %q", status.Message, row.message)
			}
		})
	}
}

func TestInvalidNamesCauses(t *testing.T) {
	t.Parallel()
	api := newTestAPI(t, false)
	_, body := api.do(t, "POST", deployments, `{"metadata":{"name":"x"},"spec":{"replicas":-1}}`)
	status := parseStatus(t, body)
	details := status.Details
	if details == nil || details.Name != "x" || details.Group != "apps" || details.Kind != "Deployment" || len(details.Causes) != 1 {
		t.Fatalf("details: %+v", details)
	}
	cause := details.Causes[0]
	if cause.Type != metav1.CauseTypeFieldValueInvalid || cause.Field != "spec.replicas" || !strings.Contains(cause.Message, "-1") {
		t.Errorf("cause: %+v", cause)
	}
}

// A handler that panics costs its caller an error and nobody else anything.
func TestPanic(t *testing.T) {
	t.Parallel()
	api := newTestAPI(t, false, func(o *Options) {
		o.Resources = append(o.Resources, &resource.Definition{
			GVK: metav1.SchemeGroupVersion.WithKind("Unheard"), Plural: "unheard", Singular: "unheard",
		})
	})
	for range 2 {
		res, body := api.do(t, "POST", "/apis/meta.k8s.io/v1/unheard", `{}`)
		if status := parseStatus(t, body); res.StatusCode != 500 || status.Reason != metav1.StatusReasonInternalError {
			t.Errorf("%d %+v", res.StatusCode, status)
		}
	}
	if res, _ := api.do(t, "GET", configMaps, ""); res.StatusCode != http.StatusOK {
		t.Error("the server did not survive")
	}
}
