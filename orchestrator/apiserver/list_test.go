package apiserver

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/orchestrator/store"
)

func mustCreateMaps(t testing.TB, api *testAPI, names ...string) *corev1.ConfigMap {
	t.Helper()
	var last *corev1.ConfigMap
	for _, name := range names {
		cm := configMap(name)
		cm.Labels = map[string]string{"name": name, "first": name[:1]}
		var err error
		if last, err = api.proto(t).CoreV1().ConfigMaps("default").Create(t.Context(), cm, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return last
}

func namesOf(list *corev1.ConfigMapList) []string {
	var names []string
	for _, cm := range list.Items {
		names = append(names, cm.Name)
	}
	return names
}

func TestSelectors(t *testing.T) {
	t.Parallel()
	api := newTestAPI(t, false)
	mustCreateMaps(t, api, "a1", "a2", "b1")
	if _, err := api.proto(t).CoreV1().ConfigMaps("other").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "a1"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		namespace string
		options   metav1.ListOptions
		want      []string
	}{
		{"default", metav1.ListOptions{}, []string{"a1", "a2", "b1"}},
		{"", metav1.ListOptions{}, []string{"a1", "a2", "b1", "a1"}},
		{"none", metav1.ListOptions{}, nil},
		{"default", metav1.ListOptions{LabelSelector: "first=a"}, []string{"a1", "a2"}},
		{"default", metav1.ListOptions{LabelSelector: "first in (a,b),name!=a1"}, []string{"a2", "b1"}},
		{"", metav1.ListOptions{LabelSelector: "!first"}, []string{"a1"}},
		{"default", metav1.ListOptions{FieldSelector: "metadata.name=a2"}, []string{"a2"}},
		{"", metav1.ListOptions{FieldSelector: "metadata.namespace!=default"}, []string{"a1"}},
		{"default", metav1.ListOptions{LabelSelector: "first=a", Limit: 1}, []string{"a1"}},
	} {
		list, err := api.proto(t).CoreV1().ConfigMaps(row.namespace).List(t.Context(), row.options)
		if err != nil || !slices.Equal(namesOf(list), row.want) {
			t.Errorf("%q %+v: %v, %v", row.namespace, row.options, namesOf(list), err)
		}
	}
	pods, err := api.proto(t).CoreV1().Pods("").List(t.Context(), metav1.ListOptions{FieldSelector: "spec.nodeName=skiff,status.phase!=Failed"})
	if err != nil || len(pods.Items) != 0 {
		t.Errorf("%v, %v", pods, err)
	}
}

// A list in pieces shows one moment, whatever is written meanwhile.
func TestPaging(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, api *testAPI) {
		client := api.proto(t).CoreV1().ConfigMaps("default")
		mustCreateMaps(t, api, "a", "b", "c", "d", "e")
		first, err := client.List(t.Context(), metav1.ListOptions{Limit: 2})
		if err != nil || first.Continue == "" || first.RemainingItemCount == nil || *first.RemainingItemCount != 3 {
			t.Fatalf("%+v, %v", first.ListMeta, err)
		}
		if err := client.Delete(t.Context(), "c", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		mustCreateMaps(t, api, "bb", "f")
		got := namesOf(first)
		for next := first; next.Continue != ""; {
			if next, err = client.List(t.Context(), metav1.ListOptions{Limit: 2, Continue: next.Continue}); err != nil {
				t.Fatal(err)
			}
			if next.ResourceVersion != first.ResourceVersion {
				t.Errorf("page at %s, first at %s", next.ResourceVersion, first.ResourceVersion)
			}
			got = append(got, namesOf(next)...)
		}
		if want := []string{"a", "b", "c", "d", "e"}; !slices.Equal(got, want) {
			t.Errorf("pages show %v, want %v", got, want)
		}
		exact, err := client.List(t.Context(), metav1.ListOptions{ResourceVersion: first.ResourceVersion, ResourceVersionMatch: metav1.ResourceVersionMatchExact})
		if err != nil || !slices.Equal(namesOf(exact), []string{"a", "b", "c", "d", "e"}) {
			t.Errorf("exact: %v, %v", namesOf(exact), err)
		}
		newer, err := client.List(t.Context(), metav1.ListOptions{ResourceVersion: first.ResourceVersion, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan})
		if err != nil || !slices.Equal(namesOf(newer), []string{"a", "b", "bb", "d", "e", "f"}) {
			t.Errorf("not older: %v, %v", namesOf(newer), err)
		}
	})
}

// A piece of a list that is too old says so, and how to go on.
func TestExpiredContinue(t *testing.T) {
	t.Parallel()
	api := newTestAPI(t, false)
	mustCreateMaps(t, api, "a", "b", "c")
	client := api.proto(t).CoreV1().ConfigMaps("default")
	// Revision 1 is the empty store, before this run's history began… the
	// history of a storage reaches back to the opening, so make it forget.
	forget(t, api)
	_, err := client.List(t.Context(), metav1.ListOptions{Continue: continueToken(2, store.Key{Namespace: "default", Name: "a"}), Limit: 1})
	if !apierrors.IsResourceExpired(err) {
		t.Fatalf("expired continue: %v", err)
	}
	again := err.(apierrors.APIStatus).Status().Continue
	rest, err := client.List(t.Context(), metav1.ListOptions{Continue: again})
	if err != nil || !slices.Equal(namesOf(rest), []string{"b", "c", "z"}) {
		t.Errorf("rest: %v, %v", rest, err)
	}
	_, err = client.List(t.Context(), metav1.ListOptions{ResourceVersion: "2", ResourceVersionMatch: metav1.ResourceVersionMatchExact})
	if !apierrors.IsResourceExpired(err) {
		t.Errorf("expired exact list: %v", err)
	}
}

// forget writes until the history of ConfigMaps no longer reaches back to its
// beginning.
func forget(t testing.TB, api *testAPI) {
	t.Helper()
	client := api.proto(t).CoreV1().ConfigMaps("default")
	if _, err := client.Create(t.Context(), configMap("z"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if _, err := client.Update(t.Context(), configMap("z", "big", strings.Repeat(fmt.Sprint(i), 1<<20)), metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	api := newTestAPI(t, false)
	for _, name := range []string{"p", "q"} {
		if _, err := api.proto(t).CoreV1().Pods("default").Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	accept := "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
	for query, object := range map[string]string{"": "PartialObjectMetadata", "?includeObject=None": "", "?includeObject=Object": "Pod"} {
		res, body := api.do(t, "GET", "/api/v1/namespaces/default/pods"+query, "", "Accept", accept)
		table := mustParse[metav1.Table](t, body)
		if res.StatusCode != 200 || table.Kind != "Table" || table.APIVersion != "meta.k8s.io/v1" || len(table.Rows) != 2 || table.ResourceVersion == "" {
			t.Fatalf("%d %s", res.StatusCode, body)
		}
		if table.ColumnDefinitions[1].Name != "Status" || table.Rows[0].Cells[0] != "p" || table.Rows[1].Cells[1] != "Pending" {
			t.Errorf("%s", body)
		}
		if kind := `"kind":"` + object + `"`; (object != "" && !strings.Contains(string(table.Rows[0].Object.Raw), kind)) || (object == "" && strings.Contains(string(table.Rows[0].Object.Raw), "metadata")) {
			t.Errorf("%q: object is %s", query, table.Rows[0].Object.Raw)
		}
	}
	_, body := api.do(t, "GET", "/api/v1/namespaces/default/pods/p", "", "Accept", accept)
	if table := mustParse[metav1.Table](t, body); len(table.Rows) != 1 {
		t.Errorf("%s", body)
	}
	if res, body := api.do(t, "GET", "/api/v1/namespaces/default/pods?includeObject=Some", "", "Accept", accept); res.StatusCode != 422 {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	mustCreateMaps(t, api, "a")
	_, body = api.do(t, "GET", configMaps, "", "Accept", accept)
	if table := mustParse[metav1.Table](t, body); len(table.Rows) != 1 || table.ColumnDefinitions[1].Name != "Age" {
		t.Errorf("a kind without columns: %s", body)
	}
}

func TestPartialMetadata(t *testing.T) {
	t.Parallel()
	api := newTestAPI(t, false)
	mustCreateMaps(t, api, "a", "b")
	for _, mediaType := range []string{"application/json", "application/vnd.kubernetes.protobuf"} {
		res, body := api.do(t, "GET", configMaps, "", "Accept", mediaType+";as=PartialObjectMetadataList;g=meta.k8s.io;v=v1")
		if res.StatusCode != 200 || res.Header.Get("Content-Type") != mediaType || !strings.Contains(body, "PartialObjectMetadataList") {
			t.Errorf("%s: %d %q", mediaType, res.StatusCode, body)
		}
	}
	_, body := api.do(t, "GET", configMaps+"/a", "", "Accept", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1")
	if got := mustParse[metav1.PartialObjectMetadata](t, body); got.Kind != "PartialObjectMetadata" || got.Name != "a" || got.Labels["first"] != "a" {
		t.Errorf("%s", body)
	}
}

func TestNegotiation(t *testing.T) {
	t.Parallel()
	api := newTestAPI(t, false)
	mustCreateMaps(t, api, "a")
	for accept, want := range map[string]string{
		"":                                  "application/json",
		"*/*":                               "application/json",
		"application/*":                     "application/json",
		"text/html, application/yaml;q=0.5": "application/yaml",
		"application/json;q=0.1, application/yaml;q=0.9":                                   "application/yaml",
		"application/vnd.kubernetes.protobuf,application/json":                             "application/vnd.kubernetes.protobuf",
		"application/json;as=Unknown;g=x;v=v1, application/json":                           "application/json",
		"application/json;as=Table;g=meta.k8s.io;v=v1beta1,application/yaml":               "application/yaml",
		"application/vnd.kubernetes.protobuf;as=Table;g=meta.k8s.io;v=v1,application/json": "application/json",
	} {
		res, _ := api.do(t, "GET", configMaps+"/a", "", "Accept", accept)
		if got := res.Header.Get("Content-Type"); res.StatusCode != 200 || got != want {
			t.Errorf("%q: %d %s, want %s", accept, res.StatusCode, got, want)
		}
	}
	if _, body := api.do(t, "GET", configMaps+"/a?pretty=true", ""); !strings.Contains(body, "\n  \"metadata\"") {
		t.Errorf("not pretty: %s", body)
	}
	if res, body := api.do(t, "HEAD", configMaps+"/a", ""); res.StatusCode != http.StatusOK {
		t.Errorf("head: %d %s", res.StatusCode, body)
	}
}

func TestGzip(t *testing.T) {
	t.Parallel()
	api := newTestAPI(t, false)
	if _, err := api.proto(t).CoreV1().ConfigMaps("default").Create(t.Context(), configMap("big", "x", strings.Repeat("x", compressFrom)), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	res, body := api.do(t, "GET", configMaps, "", "Accept-Encoding", "br, gzip;q=0.8")
	if res.Header.Get("Content-Encoding") != "gzip" || len(body) > compressFrom/10 {
		t.Errorf("%v, %d bytes", res.Header, len(body))
	}
	if res, body := api.do(t, "GET", configMaps, ""); res.Header.Get("Content-Encoding") != "" || len(body) < compressFrom {
		t.Errorf("%v, %d bytes", res.Header, len(body))
	}
}
