package main

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/orchestrator"
)

func TestURLs(t *testing.T) {
	t.Parallel()
	svc := func(kind corev1.ServiceType, urls string) *corev1.Service {
		return &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", Annotations: map[string]string{orchestrator.URLsAnnotation: urls}},
			Spec:       corev1.ServiceSpec{Type: kind, Ports: []corev1.ServicePort{{Port: 80}}, ExternalName: "example.org"},
		}
	}
	for _, test := range []struct {
		svc  *corev1.Service
		want []string
		says string
	}{
		{svc(corev1.ServiceTypeLoadBalancer, "http://localhost:8080 http://localhost:30080"), []string{"http://localhost:8080", "http://localhost:30080"}, ""},
		{svc(corev1.ServiceTypeClusterIP, "http://web.shop.localhost:8080"), []string{"http://web.shop.localhost:8080"}, ""},
		{svc(corev1.ServiceTypeClusterIP, ""), nil, "skiff port-forward -n shop service/web 80"},
		{svc(corev1.ServiceTypeExternalName, ""), nil, "another name for example.org"},
		{svc(corev1.ServiceTypeNodePort, ""), nil, "skiff describe service/web"},
	} {
		got, err := urlsOf(test.svc)
		if !slices.Equal(got, test.want) || (err != nil) != (test.says != "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: got %v, %v, want %v, %q", test.svc.Spec.Type, got, err, test.want, test.says)
		}
	}
	if got := forBrowser([]string{"tcp://localhost:27017", "https://localhost:8443"}); got != "https://localhost:8443" {
		t.Errorf("for a browser: %q", got)
	}
}

func TestAnswered(t *testing.T) {
	t.Parallel()
	slice := func(ports int, ready ...*bool) discoveryv1.EndpointSlice {
		s := discoveryv1.EndpointSlice{Ports: make([]discoveryv1.EndpointPort, ports)}
		for _, r := range ready {
			s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Conditions: discoveryv1.EndpointConditions{Ready: r}})
		}
		return s
	}
	yes, no := true, false
	for _, test := range []struct {
		name   string
		slices []discoveryv1.EndpointSlice
		want   bool
	}{
		{"no slice", nil, false},
		{"no endpoint", []discoveryv1.EndpointSlice{slice(1)}, false},
		{"none ready", []discoveryv1.EndpointSlice{slice(1, &no), slice(1, &no)}, false},
		{"one ready", []discoveryv1.EndpointSlice{slice(1, &no), slice(1, &no, &yes)}, true},
		{"not said", []discoveryv1.EndpointSlice{slice(1, nil)}, true},
		{"no such port", []discoveryv1.EndpointSlice{slice(0, &yes)}, false},
	} {
		if got := answered(test.slices); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

// TestURLWarns: whoever asks for a Service to which no Pod answers is told so. Where
// one leads that selects none is its author's business: slices or Endpoints say.
func TestURLWarns(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	for selector, want := range map[string]string{
		"{}":         "",
		"{app: web}": "Warning: nobody answers there now: service/web has no endpoint that is ready (skiff get pods -n default -l app=web)\n",
	} {
		c.run(t, "{apiVersion: v1, kind: Service, metadata: {name: web, annotations: {"+orchestrator.URLsAnnotation+": 'http://localhost:8080'}}, "+
			"spec: {type: NodePort, ports: [{port: 80}], selector: "+selector+"}}", "create", "-f", "-")
		if got, want := c.run(t, "", "url", "web"), (result{"http://localhost:8080\n", want, 0}); got != want {
			t.Errorf("of selector %s: got %+v, want %+v", selector, got, want)
		}
		c.run(t, "", "delete", "service", "web")
	}
}
