package apiserver

import (
	"net/http"
	"strings"
	"testing"

	"skiff/orchestrator/resource"
)

// Who keeps a slice by hand hears of it if that does not count, and only then.
func TestWarningsOfSlices(t *testing.T) {
	t.Parallel()
	api := newTestAPI(t, false, func(o *Options) { o.Resources = resource.All(resource.Options{}) })
	const services, slices = "/api/v1/namespaces/default/services", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
	for _, text := range []string{
		`{"metadata":{"name":"by-hand"},"spec":{"clusterIP":"None"}}`,
		`{"metadata":{"name":"selects"},"spec":{"clusterIP":"None","selector":{"app":"web"}}}`,
	} {
		if res, answer := api.do(t, "POST", services, text); res.StatusCode != http.StatusCreated {
			t.Fatalf("%d %s", res.StatusCode, answer)
		}
	}
	const counts = `endpoints: count only while Service \"%\" has no selector`
	for _, test := range []struct{ name, service, kind, address, want string }{
		{"by-hand", "by-hand", "IPv4", "192.0.2.1", ""},
		{"selects", "selects", "IPv4", "192.0.2.1", strings.Replace(counts, "%", "selects", 1)},
		{"later", "later", "IPv4", "192.0.2.1", strings.Replace(counts, "%", "later", 1)},
		{"fqdn", "selects", "FQDN", "a.example.com", "addressType: a slice of FQDN has no effect"},
		{"six", "by-hand", "IPv6", "2001:db8::1", "addressType: a slice of IPv6 has no effect"},
		{"nobodys", "", "IPv4", "192.0.2.1", "metadata.labels: without kubernetes.io/service-name"},
	} {
		text := `{"metadata":{"name":"` + test.name + `","labels":{"kubernetes.io/service-name":"` + test.service + `"}},"addressType":"` + test.kind +
			`","endpoints":[{"addresses":["` + test.address + `"]}],"ports":[{"port":80}]}`
		for _, write := range []struct{ method, path string }{{"POST", slices}, {"PUT", slices + "/" + test.name}} {
			res, answer := api.do(t, write.method, write.path, text)
			if res.StatusCode >= 300 {
				t.Fatalf("%s %s: %d %s", write.method, test.name, res.StatusCode, answer)
			}
			got := res.Header.Values("Warning")
			if test.want == "" && len(got) > 0 || test.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], `299 - "`+test.want)) {
				t.Errorf("%s %s: warnings %q, want %q", write.method, test.name, got, test.want)
			}
		}
	}
}
