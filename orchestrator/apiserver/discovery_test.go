package apiserver

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	apidiscovery "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
)

// Both kinds of discovery must tell the same.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, api *testAPI) {
		aggregated := api.discovery(t)
		for name, client := range map[string]discovery.DiscoveryInterface{"aggregated": aggregated, "by group": aggregated.WithLegacy()} {
			groups, resources, err := client.ServerGroupsAndResources()
			if err != nil {
				t.Fatal(err)
			}
			if len(groups) != 2 || groups[1].Name != "apps" || groups[1].PreferredVersion.GroupVersion != "apps/v1" {
				t.Errorf("%s: groups %+v", name, groups)
			}
			told := map[string]metav1.APIResource{}
			for _, list := range resources {
				for _, r := range list.APIResources {
					told[list.GroupVersion+" "+r.Name] = r
				}
			}
			deployment := told["apps/v1 deployments"]
			if deployment.Kind != "Deployment" || !deployment.Namespaced || !slices.Contains(deployment.ShortNames, "deploy") || deployment.SingularName != "deployment" ||
				!slices.Equal(deployment.Categories, []string{"all"}) || !slices.Contains(deployment.Verbs, "watch") {
				t.Errorf("%s: %+v", name, deployment)
			}
			for key, kind := range map[string]string{
				"apps/v1 deployments/scale": "Scale", "apps/v1 deployments/status": "Deployment", "v1 pods/log": "Pod", "v1 pods/binding": "Binding", "v1 namespaces/finalize": "Namespace",
			} {
				if told[key].Kind != kind {
					t.Errorf("%s: %s is %+v", name, key, told[key])
				}
			}
			if slices.Contains(told["v1 namespaces"].Verbs, "deletecollection") || told["v1 namespaces"].Namespaced {
				t.Errorf("%s: %+v", name, told["v1 namespaces"])
			}
		}
	})
}

func TestAggregatedDiscoveryHeader(t *testing.T) {
	t.Parallel()
	api := newTestAPI(t, false)
	for _, path := range []string{"/api", "/apis"} {
		res, body := api.do(t, "GET", path, "", "Accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json")
		if got := res.Header.Get("Content-Type"); got != "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList" {
			t.Errorf("%s: %s", path, got)
		}
		if list := mustParse[apidiscovery.APIGroupDiscoveryList](t, body); list.Kind != "APIGroupDiscoveryList" || len(list.Items) != 1 {
			t.Errorf("%s: %s", path, body)
		}
	}
}

func TestVersionAndHealth(t *testing.T) {
	t.Parallel()
	var unready atomic.Bool
	api := newTestAPI(t, false, func(o *Options) {
		o.Version = "0.1.0"
		o.Ready = func() error {
			if unready.Load() {
				return errors.New("the engine does not answer")
			}
			return nil
		}
	})
	info, err := api.discovery(t).ServerVersion()
	if err != nil || info.GitVersion != "v1.37.2+skiff.0.1.0" || info.Major != "1" || info.Minor != "37" {
		t.Errorf("%+v, %v", info, err)
	}
	for _, path := range []string{"/healthz", "/livez", "/readyz", "/readyz?verbose"} {
		if res, body := api.do(t, "GET", path, ""); res.StatusCode != 200 || body != "ok" {
			t.Errorf("%s: %d %s", path, res.StatusCode, body)
		}
	}
	unready.Store(true)
	if res, body := api.do(t, "GET", "/readyz", ""); res.StatusCode != http.StatusInternalServerError || !strings.Contains(body, "the engine does not answer") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	if res, _ := api.do(t, "GET", "/livez", ""); res.StatusCode != 200 {
		t.Errorf("livez: %d", res.StatusCode)
	}
}

// kubectl asks for custom kinds when it meets one that it does not know.
func TestNoCustomKinds(t *testing.T) {
	t.Parallel()
	api := newTestAPI(t, false)
	client := dynamic.NewForConfigOrDie(api.config)
	gvr := schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	list, err := client.Resource(gvr).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 0 || list.GetKind() != "CustomResourceDefinitionList" {
		t.Errorf("list %v, error %v", list, err)
	}
	if _, err := client.Resource(gvr).Watch(t.Context(), metav1.ListOptions{}); err == nil {
		t.Error("a watch was accepted")
	}
}
