package apiserver

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func mustParse[T any](t *testing.T, body string) *T {
	t.Helper()
	value := new(T)
	if err := json.Unmarshal([]byte(body), value); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return value
}

func TestGenerateName(t *testing.T) {
	t.Parallel()
	api := newTestAPI(t, false)
	seen := map[string]bool{}
	for range 50 {
		_, body := api.do(t, "POST", configMaps, `{"metadata":{"generateName":"x-"}}`)
		name := mustParse[corev1.ConfigMap](t, body).Name
		if len(name) != 7 || !strings.HasPrefix(name, "x-") || seen[name] {
			t.Errorf("generated %q", name)
		}
		seen[name] = true
	}
	_, body := api.do(t, "POST", configMaps, `{"metadata":{"generateName":"`+strings.Repeat("x", 70)+`"}}`)
	if name := mustParse[corev1.ConfigMap](t, body).Name; len(name) != 63 {
		t.Errorf("generated %q from a long base", name)
	}
}

// What a client may not decide is decided by the server.
func TestServerOwnsIdentity(t *testing.T) {
	t.Parallel()
	api := newTestAPI(t, false)
	_, body := api.do(t, "POST", deployments, `{"metadata":{"name":"x","uid":"mine","creationTimestamp":"2001-01-01T00:00:00Z","generation":7,
		"deletionTimestamp":"2001-01-01T00:00:00Z","managedFields":[{"manager":"m"}]},"status":{"replicas":5}}`)
	created := mustParse[appsv1.Deployment](t, body)
	if created.UID == "mine" || created.CreationTimestamp.Year() == 2001 || created.Generation != 1 ||
		created.DeletionTimestamp != nil || created.ManagedFields != nil || created.Status.Replicas != 0 {
		t.Errorf("created %+v", created)
	}
	if created.Kind != "Deployment" || created.APIVersion != "apps/v1" {
		t.Errorf("created %+v", created.TypeMeta)
	}
	_, body = api.do(t, "PUT", deployments+"/x", `{"metadata":{"name":"x","creationTimestamp":"2001-01-01T00:00:00Z","generation":7},"spec":{"replicas":2}}`)
	updated := mustParse[appsv1.Deployment](t, body)
	if updated.UID != created.UID || !updated.CreationTimestamp.Equal(&created.CreationTimestamp) || updated.Generation != 2 {
		t.Errorf("updated %+v", updated.ObjectMeta)
	}
	_, body = api.do(t, "PUT", deployments+"/x/status", `{"metadata":{"name":"x"},"spec":{"replicas":9},"status":{"replicas":2}}`)
	updated = mustParse[appsv1.Deployment](t, body)
	if *updated.Spec.Replicas != 2 || updated.Status.Replicas != 2 || updated.Generation != 2 {
		t.Errorf("status update gave %+v", updated)
	}
}

func TestFieldValidation(t *testing.T) {
	t.Parallel()
	api := newTestAPI(t, false)
	body := `{"metadata":{"name":"x"},"spec":{"foo":1,"template":{"spec":{"bar":true}}}}`
	for query, warnings := range map[string]int{"?dryRun=All": 2, "?dryRun=All&fieldValidation=Warn": 2, "?dryRun=All&fieldValidation=Ignore": 0} {
		res, text := api.do(t, "POST", deployments+query, body)
		if res.StatusCode != http.StatusCreated || len(res.Header.Values("Warning")) != warnings {
			t.Errorf("%s: %d %q %s", query, res.StatusCode, res.Header.Values("Warning"), text)
		}
		if warnings > 0 && res.Header.Get("Warning") != `299 - "unknown field \"spec.foo\""` {
			t.Errorf("%s: %q", query, res.Header.Get("Warning"))
		}
	}
	if _, text := api.do(t, "POST", deployments, `{"metadata":{"name":"x"}}`); !strings.Contains(text, `"uid"`) {
		t.Fatal(text)
	}
	for _, patchType := range []types.PatchType{types.StrategicMergePatchType, types.MergePatchType} {
		res, text := api.do(t, "PATCH", deployments+"/x?fieldValidation=Strict", `{"spec":{"foo":1}}`, "Content-Type", string(patchType))
		if res.StatusCode != 400 || !strings.Contains(text, `unknown field \"spec.foo\"`) {
			t.Errorf("%s: %d %s", patchType, res.StatusCode, text)
		}
		res, text = api.do(t, "PATCH", deployments+"/x", `{"spec":{"foo":1}}`, "Content-Type", string(patchType))
		if res.StatusCode != 200 || res.Header.Get("Warning") != `299 - "unknown field \"spec.foo\""` {
			t.Errorf("%s: %d %q %s", patchType, res.StatusCode, res.Header.Get("Warning"), text)
		}
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	api := newTestAPI(t, false)
	res, _ := api.do(t, "POST", deployments, `{"metadata":{"name":"x"},"spec":{"template":{"spec":{"schedulerName":"s"}}}}`)
	if got := res.Header.Values("Warning"); len(got) != 1 || got[0] != `299 - "spec.template.spec.schedulerName: there is one node"` {
		t.Errorf("warnings %q", got)
	}
	r := &request{w: &discardWriter{header: http.Header{}}}
	for range 1000 {
		r.warn("the same", "line\nbreak", strings.Repeat("x", 1000))
	}
	if n := len(r.w.Header().Values("Warning")); n != 3 {
		t.Errorf("%d warnings", n)
	}
}

type discardWriter struct{ header http.Header }

func (d *discardWriter) Header() http.Header         { return d.header }
func (d *discardWriter) Write(p []byte) (int, error) { return len(p), nil }
func (d *discardWriter) WriteHeader(int)             {}

// A dry run says what would be and changes nothing.
func TestDryRun(t *testing.T) {
	t.Parallel()
	api := newTestAPI(t, false)
	if res, body := api.do(t, "POST", configMaps, `{"metadata":{"name":"x"},"data":{"a":"1"}}`); res.StatusCode != 201 {
		t.Fatal(body)
	}
	before := api.store.Revision()
	for _, row := range []struct{ method, path, body, contentType string }{
		{"POST", configMaps + "?dryRun=All", `{"metadata":{"name":"y"}}`, jsonType},
		{"PUT", configMaps + "/x?dryRun=All", `{"metadata":{"name":"x"},"data":{"a":"2"}}`, jsonType},
		{"PATCH", configMaps + "/x?dryRun=All", `{"data":{"a":"3"}}`, string(types.MergePatchType)},
		{"DELETE", configMaps + "/x?dryRun=All", ``, jsonType},
		{"DELETE", configMaps + "/x", `{"dryRun":["All"],"propagationPolicy":"Foreground"}`, jsonType},
		{"DELETE", configMaps + "?dryRun=All", ``, jsonType},
	} {
		res, body := api.do(t, row.method, row.path, row.body, "Content-Type", row.contentType)
		if res.StatusCode >= 300 {
			t.Errorf("%s %s: %d %s", row.method, row.path, res.StatusCode, body)
		}
	}
	if res, body := api.do(t, "POST", configMaps+"?dryRun=All", `{"metadata":{"name":"x"}}`); res.StatusCode != 409 {
		t.Errorf("dry run of a taken name: %d %s", res.StatusCode, body)
	}
	if now := api.store.Revision(); now != before {
		t.Errorf("revision went from %d to %d", before, now)
	}
}

// Numbers that must be unique stay so when many ask at once.
func TestAllocateIsExclusive(t *testing.T) {
	t.Parallel()
	api := newTestAPI(t, false)
	client := api.proto(t).CoreV1().Services("default")
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if _, err := client.Create(t.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{GenerateName: "s-"}}, metav1.CreateOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	list, err := client.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int32]bool{}
	for _, s := range list.Items {
		seen[s.Spec.HealthCheckNodePort] = true
	}
	if len(seen) != 20 {
		t.Errorf("20 services have %d numbers", len(seen))
	}
}

func TestYAMLBody(t *testing.T) {
	t.Parallel()
	api := newTestAPI(t, false)
	res, body := api.do(t, "POST", configMaps, "metadata:\n  name: x\ndata:\n  a: b\n", "Content-Type", "application/yaml", "Accept", "application/yaml")
	if res.StatusCode != 201 || res.Header.Get("Content-Type") != "application/yaml" || !strings.Contains(body, "kind: ConfigMap\n") {
		t.Errorf("%d %s %s", res.StatusCode, res.Header.Get("Content-Type"), body)
	}
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += string(c) + ": &" + string(c) + " [" + strings.TrimSuffix(strings.Repeat("*"+string(c-1)+",", 9), ",") + "]\n"
	}
	if res, body := api.do(t, "POST", configMaps, bomb, "Content-Type", "application/yaml"); res.StatusCode != 400 {
		t.Errorf("alias bomb: %d %.200s", res.StatusCode, body)
	}
}
