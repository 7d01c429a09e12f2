package resource

import (
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

func readIngress(t *testing.T, text string) *networkingv1.Ingress {
	t.Helper()
	in := &networkingv1.Ingress{ObjectMeta: named("web")}
	if err := yaml.UnmarshalStrict([]byte(text), in); err != nil {
		t.Fatal(err)
	}
	return in
}

const (
	toWeb   = "backend: {service: {name: web, port: {number: 80}}}"
	onePath = "spec: {rules: [{http: {paths: [{path: %PATH, pathType: %TYPE, " + toWeb + "}]}}]}"
)

func TestIngressValidation(t *testing.T) {
	t.Parallel()
	const path0 = "spec.rules[0].http.paths[0]."
	path := func(path, kind string) string {
		return strings.NewReplacer("%PATH", path, "%TYPE", kind).Replace(onePath)
	}
	tests := []struct{ name, text, want string }{
		{"a prefix", path("/a", "Prefix"), ""},
		{"nothing", "spec: {}", "spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"},
		{"a default alone", "spec: {defaultBackend: {service: {name: web, port: {name: http}}}}", ""},
		{"a rule that is a host alone", "spec: {rules: [{host: a.example}]}", ""},
		{"an address for a host", "spec: {rules: [{host: 10.1.2.3}]}", `spec.rules[0].host: Invalid value: "10.1.2.3": must be a DNS name, not an IP address`},
		{"a host with a port", "spec: {rules: [{host: 'a.example:80'}]}", `spec.rules[0].host: Invalid value: "a.example:80": a lowercase RFC 1123 subdomain must consist of`},
		{"a wildcard", "spec: {rules: [{host: '*.example.com'}]}", ""},
		{"a wildcard within", "spec: {rules: [{host: 'a.*.com'}]}", `spec.rules[0].host: Invalid value: "a.*.com": a wildcard DNS-1123 subdomain must start with '*.'`},
		{"no paths", "spec: {rules: [{http: {paths: []}}]}", "spec.rules[0].http.paths: Required value"},
		{"no path type", "spec: {rules: [{http: {paths: [{path: /, " + toWeb + "}]}}]}", path0 + "pathType: Required value: pathType must be specified"},
		{"an unknown path type", path("/", "Regex"), path0 + `pathType: Unsupported value: "Regex": supported values: "Exact", "ImplementationSpecific", "Prefix"`},
		{"a relative path", path("a", "Exact"), path0 + `path: Invalid value: "a": must be an absolute path`},
		{"no path where one is needed", path("''", "Prefix"), path0 + `path: Invalid value: "": must be an absolute path`},
		{"no path where none is needed", path("''", "ImplementationSpecific"), ""},
		{"a path with an empty element", path("/a//b", "Prefix"), path0 + `path: Invalid value: "/a//b": must not contain '//'`},
		{"a path that goes up", path("/a/../b", "Exact"), path0 + `path: Invalid value: "/a/../b": must not contain '/../'`},
		{"a path that ends upwards", path("/a/..", "Exact"), path0 + `path: Invalid value: "/a/..": cannot end with '/..'`},
		{"an escaped slash", path("/a%2fb", "Prefix"), path0 + `path: Invalid value: "/a%2fb": must not contain '%2f'`},
		{"no back end", "spec: {defaultBackend: {}}", `spec.defaultBackend: Invalid value: "": resource or service backend is required`},
		{"two back ends", "spec: {defaultBackend: {service: {name: web, port: {number: 80}}, resource: {kind: Bucket, name: a}}}",
			`spec.defaultBackend: Invalid value: "": cannot set both resource and service backends`},
		{"a resource without a kind", "spec: {defaultBackend: {resource: {name: a}}}", "spec.defaultBackend.resource.kind: Required value: kind is required"},
		{"no port", "spec: {defaultBackend: {service: {name: web}}}", "spec.defaultBackend: Required value: port name or number is required"},
		{"two ports", "spec: {defaultBackend: {service: {name: web, port: {name: a, number: 1}}}}",
			`spec.defaultBackend: Invalid value: "": cannot set both port name & port number`},
		{"a port number", "spec: {defaultBackend: {service: {name: web, port: {number: 70000}}}}",
			"spec.defaultBackend.service.port.number: Invalid value: 70000: must be between 1 and 65535, inclusive"},
		{"a service's name", "spec: {defaultBackend: {service: {name: 9web, port: {number: 1}}}}",
			`spec.defaultBackend.service.name: Invalid value: "9web": a DNS-1035 label`},
		{"TLS", "spec: {rules: [{host: a.b}], tls: [{hosts: [a.b, '*.c.d'], secretName: cert}]}", ""},
		{"TLS host", "spec: {rules: [{host: a.b}], tls: [{hosts: [A]}]}", `spec.tls[0].hosts[0]: Invalid value: "A"`},
		{"TLS secret", "spec: {rules: [{host: a.b}], tls: [{secretName: A}]}", `spec.tls[0].secretName: Invalid value: "A"`},
		{"class", "spec: {rules: [{host: a.b}], ingressClassName: A}", `spec.ingressClassName: Invalid value: "A"`},
		{"two classes", "metadata: {annotations: {kubernetes.io/ingress.class: a}}\nspec: {rules: [{host: a.b}], ingressClassName: b}",
			"annotations.kubernetes.io/ingress.class: Invalid value: \"a\": must match `ingressClassName` when both are specified"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			in := readIngress(t, test.text)
			in.Name, in.Namespace = "web", "default"
			got := ""
			if err := ingress().Validate(in).ToAggregate(); err != nil {
				got = err.Error()
			}
			if !strings.HasPrefix(got, test.want) || test.want == "" && got != "" {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestIngressClassValidation(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"skiff's", "spec: {controller: skiff.dev/ingress}", ""},
		{"no domain", "spec: {controller: nginx}", `spec.controller: Invalid value: "nginx": must be a domain-prefixed path`},
		{"parameters", "spec: {controller: a.b/c, parameters: {kind: K, name: n}}", ""},
		{"parameters of a namespace", "spec: {controller: a.b/c, parameters: {kind: K, name: n, scope: Namespace}}",
			"spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'"},
		{"parameters of none", "spec: {controller: a.b/c, parameters: {kind: K, name: n, namespace: a}}",
			"spec.parameters.namespace: Forbidden: `parameters.scope` is set to 'Cluster'"},
		{"a scope", "spec: {controller: a.b/c, parameters: {kind: K, name: n, scope: Galaxy}}", `spec.parameters.scope: Unsupported value: "Galaxy"`},
	}
	for _, test := range tests {
		c := &networkingv1.IngressClass{}
		if err := yaml.UnmarshalStrict([]byte(test.text), c); err != nil {
			t.Fatal(err)
		}
		c.Name = "c"
		ingressClass().Default(c)
		got := ""
		if err := ingressClass().Validate(c).ToAggregate(); err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, test.want) || test.want == "" && got != "" {
			t.Errorf("%s:\ngot  %s\nwant %s", test.name, got, test.want)
		}
	}
	old := &networkingv1.IngressClass{ObjectMeta: named("c"), Spec: networkingv1.IngressClassSpec{Controller: "a.b/c"}}
	changed := old.DeepCopy()
	changed.Spec.Controller = "a.b/d"
	if errs := ingressClass().ValidateUpdate(changed, old); len(errs) != 1 || !strings.Contains(errs[0].Error(), "spec.controller") {
		t.Errorf("a change of the controller: %v", errs)
	}
}

func TestIngressRow(t *testing.T) {
	t.Parallel()
	tests := []struct{ text, want string }{
		{"spec: {defaultBackend: {}}", "web | <none> | * |  | 80 | <unknown>"},
		{"spec: {ingressClassName: skiff, rules: [{host: a}, {host: b}], tls: [{}]}\nstatus: {loadBalancer: {ingress: [{ip: 127.0.0.1}]}}",
			"web | skiff | a,b | 127.0.0.1 | 80, 443 | <unknown>"},
		{"spec: {rules: [{host: a}, {host: b}, {host: c}, {host: d}, {}]}\nstatus: {loadBalancer: {ingress: [{hostname: a-long-name.example.com}]}}",
			"web | <none> | a,b,c + 1 more... | a-long-name.e... | 80 | <unknown>"},
	}
	for _, test := range tests {
		if got := cells(ingress().Row(readIngress(t, test.text))); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
}

// An Ingress that names no class gets skiff's while that is the default one.
func TestIngressClassIsGiven(t *testing.T) {
	t.Parallel()
	class := func(value string) Lookup {
		return func(_ schema.GroupVersionResource, _, name string) (runtime.Object, error) {
			if value == "" {
				return nil, apierrors.NewNotFound(schema.GroupResource{}, name)
			}
			return &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{networkingv1.AnnotationIsDefaultIngressClass: value}}}, nil
		}
	}
	tests := []struct{ text, isDefault, want string }{
		{"{}", "true", "skiff"},
		{"{}", "false", ""},
		{"{}", "", ""},
		{"spec: {ingressClassName: nginx}", "true", "nginx"},
		{"metadata: {annotations: {kubernetes.io/ingress.class: nginx}}", "true", "nginx"},
	}
	for _, test := range tests {
		in := readIngress(t, test.text)
		if err := ingress().Admit(in, class(test.isDefault)); err != nil {
			t.Error(err)
		}
		if got := IngressClassOf(in); got != test.want {
			t.Errorf("%s, default %q: class %q, want %q", test.text, test.isDefault, got, test.want)
		}
	}
}

func TestIngressWarnings(t *testing.T) {
	t.Parallel()
	in := readIngress(t, `
metadata:
  annotations:
    kubernetes.io/ingress.class: skiff
    nginx.ingress.kubernetes.io/rewrite-target: /
    nginx.ingress.kubernetes.io/ssl-redirect: "true"
    example.com/mine: a
spec: {rules: [{http: {paths: [{path: /, pathType: Prefix, backend: {resource: {kind: Bucket, name: a}}}]}}]}`)
	want := []string{
		"metadata.annotations[kubernetes.io/ingress.class]: deprecated; use spec.ingressClassName instead",
		"metadata.annotations[nginx.ingress.kubernetes.io/rewrite-target]: has no effect in skiff, it is for another Ingress controller",
		"spec.rules[0].http.paths[0].backend.resource: has no effect in skiff, requests there are answered with 503",
	}
	if got := ingress().Warnings(in, nil); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if got := ingress().Warnings(in, in); len(got) > 0 {
		t.Errorf("an update that changes nothing warns: %q", got)
	}

	const nginx = `: "nginx" is served only where an IngressClass of that name has the controller skiff.dev/ingress; leave it out to be served by skiff`
	byField := readIngress(t, "spec: {ingressClassName: nginx}")
	byAnnotation := readIngress(t, "metadata: {annotations: {kubernetes.io/ingress.class: nginx}}")
	skiffs := readIngress(t, "spec: {ingressClassName: skiff}")
	for _, test := range []struct {
		in, old *networkingv1.Ingress
		want    []string
	}{
		{byField, nil, []string{"spec.ingressClassName" + nginx}},
		{byField, skiffs, []string{"spec.ingressClassName" + nginx}},
		{byAnnotation, nil, []string{want[0], "metadata.annotations[kubernetes.io/ingress.class]" + nginx}},
		{byField, byField, nil},
		{skiffs, byField, nil},
		{readIngress(t, "{}"), byField, nil},
	} {
		if got := ingress().Warnings(test.in, test.old); strings.Join(got, "\n") != strings.Join(test.want, "\n") {
			t.Errorf("%+v:\ngot  %q\nwant %q", test.in.Spec, got, test.want)
		}
	}
}
