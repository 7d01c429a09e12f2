package manifest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const deployment = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 3
  selector:
    matchLabels:
      app: web
  template:
    metadata:
      labels:
        app: web
    spec:
      containers:
      - name: web
        image: web:1
        ports:
        - containerPort: 8080
`

// rendered is what is said where a line has a template's braces.
const rendered = ` ({{…}} is of a template, which is to be rendered first: helm template CHART | skiff apply -f -)`

func TestParseErrors(t *testing.T) {
	t.Parallel()
	edit := func(old, new string) string {
		if !strings.Contains(deployment, old) {
			t.Fatalf("the deployment has no %q", old)
		}
		return strings.Replace(deployment, old, new, 1)
	}
	tests := []struct {
		name, text string
		want       []string
	}{
		{"sound", deployment, nil},
		{"unknown field", edit("replicas", "replica"), []string{
			`web.yaml:6: spec.replica: unknown field "replica" (did you mean "replicas"?)`}},
		{"unknown field in a list", edit("image:", "imagee:"), []string{
			`web.yaml:17: spec.template.spec.containers[0].imagee: unknown field "imagee" (did you mean "image"?)`}},
		{"field in the wrong case", edit("containerPort", "containerport"), []string{
			`web.yaml:19: spec.template.spec.containers[0].ports[0].containerport: unknown field "containerport" (did you mean "containerPort"?)`}},
		{"nothing like it", edit("replicas", "colour"), []string{`web.yaml:6: spec.colour: unknown field "colour"`}},
		{"string for number", edit("replicas: 3", "replicas: three"), []string{
			`web.yaml:6: spec.replicas: expected a whole number, got the string "three"`}},
		{"fraction for number", edit("replicas: 3", "replicas: 1.5"), []string{
			`web.yaml:6: spec.replicas: expected a whole number, got the number 1.5`}},
		{"too large", edit("replicas: 3", "replicas: 3000000000"), []string{`web.yaml:6: spec.replicas: 3000000000 does not fit into 32 bits`}},
		{"number for string", edit("app: web", "app: 12"), []string{
			`web.yaml:9: spec.selector.matchLabels.app: expected a string, got the number 12: put it in quotes`}},
		{"yes for string", edit("app: web", "app: yes"), []string{
			`web.yaml:9: spec.selector.matchLabels.app: expected a string, got the boolean yes: put it in quotes`}},
		{"mapping for list", edit("- name: web\n        image: web:1\n        ports:\n        - containerPort: 8080", "  name: web"), []string{
			`web.yaml:16: spec.template.spec.containers: expected a list, got a mapping`}},
		{"string for mapping", edit("matchLabels:\n      app: web", "matchLabels: web"), []string{
			`web.yaml:8: spec.selector.matchLabels: expected a mapping, got the string "web"`}},
		{"twice", edit("replicas: 3", "replicas: 3\n  replicas: 4"), []string{
			`web.yaml:7: spec: key "replicas" is set twice, first on line 6`}},
		{"kind misspelt", edit("kind: Deployment", "kind: Deploymnet"), []string{
			`web.yaml:2: kind: no kind "Deploymnet" in apps/v1 (did you mean "Deployment"?)`}},
		{"kind elsewhere", edit("apps/v1", "v1"), []string{
			`web.yaml:2: kind: no kind "Deployment" in v1 (Deployment is in apps/v1)`}},
		{"version unknown", edit("apps/v1", "apps/v2"), []string{
			`web.yaml:1: apiVersion: no version "apps/v2" (known are apps/v1, apps/v1beta1, apps/v1beta2)`}},
		{"group unknown", edit("apps/v1", "app/v1"), []string{`web.yaml:1: apiVersion: no API "app/v1" (did you mean "apps/v1"?)`}},
		{"group misshapen", edit("apps/v1", "apps/v1/x"), []string{`web.yaml:1: apiVersion: "apps/v1/x" is not of the form group/version`}},
		{"no apiVersion", edit("apiVersion: apps/v1\n", ""), []string{
			`web.yaml:1: apiVersion: apiVersion is missing (Deployment is in apps/v1)`}},
		{"no kind", edit("kind: Deployment\n", ""), []string{`web.yaml:1: kind: kind is missing`}},
		{"no name", edit("name: web", "labels: {}"), []string{`web.yaml:3: metadata.name: the name is missing`}},
		{"no metadata", "apiVersion: v1\nkind: ConfigMap\n", []string{`web.yaml:1: metadata.name: the name is missing`}},
		{"not an object's kind", "apiVersion: v1\nkind: DeleteOptions\n", []string{
			`web.yaml:2: kind: DeleteOptions is not a kind of object that can be created`}},
		{"several", edit("replicas: 3", "replicas: x\n  paused: 1\n  strtegy: {}"), []string{
			`web.yaml:6: spec.replicas: expected a whole number, got the string "x"`,
			`web.yaml:7: spec.paused: expected true or false, got the number 1`,
			`web.yaml:8: spec.strtegy: unknown field "strtegy" (did you mean "strategy"?)`}},
		{"in the second document", deployment + "---\napiVersion: v1\nkind: Servce\nmetadata: {name: x}\n", []string{
			`web.yaml:22: kind: no kind "Servce" in v1 (did you mean "Service"?)`}},
		{"in both documents", edit("replicas", "replica") + "---\nkind: Service\n", []string{
			`web.yaml:6: spec.replica: unknown field "replica" (did you mean "replicas"?)`,
			`web.yaml:21: apiVersion: apiVersion is missing (Service is in v1)`}},
		{"syntax", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\n data: {}\n", []string{
			`web.yaml:4: not valid YAML: did not find expected key`}},
		{"a tab", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n\tname: x\n", []string{
			`web.yaml:4: not valid YAML: found character that cannot start any token (YAML is indented by spaces, not by tabs)`}},
		{"not a tab", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: @x\t\n", []string{
			`web.yaml:4: not valid YAML: found character that cannot start any token`}},
		{"a template", "metadata:\n{{- if .Values.x }}\n  name: x\n{{- end }}\n", []string{
			`web.yaml:2: not valid YAML: could not find expected ':'` + rendered}},
		{"a template that is YAML", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\n", []string{
			`web.yaml:4: metadata.name: keys of a mapping must be plain text` + rendered}},
		{"a kustomization", "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [web.yaml]\n", []string{
			`web.yaml:2: kind: a Kustomization is no object but makes objects: kubectl kustomize DIRECTORY | skiff apply -f -`}},
		{"syntax in the second", deployment + "---\nkind: [\n", []string{
			`web.yaml:21: not valid YAML: did not find expected node content`}},
		{"empty", "", []string{`web.yaml:1: the file is empty: it has no document`}},
		{"comments only", "# nothing\n---\n", []string{`web.yaml:1: the file is empty: it has no document`}},
		{"binary", "\x7fELF\x00\x01", []string{`web.yaml: this is a binary file, not a manifest`}},
		{"not UTF-8", "a: b\nc: \xff\n", []string{`web.yaml:2: the text is not valid UTF-8`}},
		{"text", "hello", []string{`web.yaml:1: expected an object with apiVersion, kind and metadata, got a string`}},
		{"list of objects", "- a\n- b\n", []string{`web.yaml:1: expected an object with apiVersion, kind and metadata, got a list`}},
		{"tag", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {a: !secret b}\n", []string{
			`web.yaml:4: data.a: the tag !secret is not supported in manifests`}},
		{"not base64", "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\ndata: {a: '***'}\n", []string{
			`web.yaml:4: data.a: expected base64: illegal base64 data at input byte 0`}},
		{"quantity", edit("image: web:1", "resources: {limits: {memory: 12Q}}"), []string{
			`web.yaml:17: spec.template.spec.containers[0].resources.limits.memory: expected a quantity such as 500m, 2 or 128Mi, got the string "12Q"`}},
		{"custom kind's metadata", "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: x, lables: {}}\n", []string{
			`web.yaml:3: metadata.lables: unknown field "lables" (did you mean "labels"?)`}},
		{"JSON", `{"apiVersion": "v1",` + "\n\t" + `"kind": "ConfigMap", "metadata": {"name": "x"},` + "\n" + `"data": {"a": 1}}`, []string{
			`web.yaml:3: data.a: expected a string, got the number 1: put it in quotes`}},
		{"JSON key twice", `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"},` + "\n" + `"kind": "Secret"}`, []string{
			`web.yaml:2: key "kind" is set twice, first on line 1`}},
		{"JSON cut off", `{"apiVersion": "v1",` + "\n", []string{`web.yaml:1: not valid YAML: did not find expected node content`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse("web.yaml", []byte(test.text))
			var got []string
			if err != nil {
				got = strings.Split(err.Error(), "\n")
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseDocuments(t *testing.T) {
	t.Parallel()
	configMap := func(name string) string {
		return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\n"
	}
	tests := []struct {
		name, text string
		want       []string
	}{
		{"one", configMap("a"), []string{"web.yaml:1 a"}},
		{"several", configMap("a") + "---\n" + configMap("b") + "--- # third\n" + configMap("c"), []string{"web.yaml:1 a", "web.yaml:5 b", "web.yaml:9 c"}},
		{"comments and empty documents", "# top\n---\n---\n# next\n" + configMap("a") + "---\n---\n" + configMap("b") + "---\n", []string{"web.yaml:5 a", "web.yaml:10 b"}},
		{"carriage returns", strings.ReplaceAll(configMap("a")+"---\n"+configMap("b"), "\n", "\r\n"), []string{"web.yaml:1 a", "web.yaml:5 b"}},
		{"byte order mark", "\ufeff" + configMap("a"), []string{"web.yaml:1 a"}},
		{"directive", "%YAML 1.1\n---\n" + configMap("a"), []string{"web.yaml:3 a"}},
		{"document end", configMap("a") + "...\n---\n" + configMap("b"), []string{"web.yaml:1 a", "web.yaml:6 b"}},
		{"marker in a string", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  a: |\n    ---\n    b\n", []string{"web.yaml:1 a"}},
		{"list", "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: a}\n- {apiVersion: v1, kind: Secret, metadata: {name: b}}\n", []string{"web.yaml:4 a", "web.yaml:7 b"}},
		{"typed list", "apiVersion: v1\nkind: ConfigMapList\nmetadata: {}\nitems:\n- metadata: {name: a}\n- metadata: {name: b}\n", []string{"web.yaml:5 a", "web.yaml:6 b"}},
		{"generated name", "apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: a-}\n", []string{"web.yaml:1 "}},
		{"JSON stream", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"x":"\ud83d\ude00"}}` + "\n" + `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b"}}`, []string{"web.yaml:1 a", "web.yaml:2 b"}},
		{"JSON after a marker", "---\n" + `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}`, []string{"web.yaml:2 a"}},
		{"YAML that starts like JSON", "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}", []string{"web.yaml:1 a"}},
		{"custom kind", "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: a}\nspec: {anything: [1]}\n", []string{"web.yaml:1 a"}},
		{"empty list", "apiVersion: v1\nkind: List\nitems: []\n", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			docs, err := Parse("web.yaml", []byte(test.text))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range docs {
				got = append(got, d.Source()+" "+d.Object.GetName())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("documents (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseValues(t *testing.T) {
	t.Parallel()
	docs, err := Parse("x.yaml", []byte(`apiVersion: example.com/v1
kind: Thing
metadata: {name: a}
base: &base {a: 1, b: two}
merged: {<<: *base, b: 3}
both: {<<: [*base, {c: 4}]}
alias: *base
numbers: [1, -2, 0x10, 0o17, 017, 1_000, 1.5, 2.0, 1e3]
words: [yes, "yes", Off, true, null, ~, 2020-01-02, !!str 12]
text: |
  line
`))
	if err != nil {
		t.Fatal(err)
	}
	base := map[string]any{"a": int64(1), "b": "two"}
	want := map[string]any{
		"apiVersion": "example.com/v1", "kind": "Thing", "metadata": map[string]any{"name": "a"},
		"base": base, "alias": base,
		"merged":  map[string]any{"a": int64(1), "b": int64(3)},
		"both":    map[string]any{"a": int64(1), "b": "two", "c": int64(4)},
		"numbers": []any{int64(1), int64(-2), int64(16), int64(15), int64(15), int64(1000), 1.5, int64(2), int64(1000)},
		"words":   []any{true, "yes", false, true, nil, nil, "2020-01-02", "12"},
		"text":    "line\n",
	}
	if diff := cmp.Diff(want, docs[0].Object.Object); diff != "" {
		t.Errorf("object (-want +got):\n%s", diff)
	}
}

func TestLine(t *testing.T) {
	t.Parallel()
	docs, err := Parse("x.yaml", []byte(strings.Replace(deployment, "app: web\n  template", "app: web\n      app.kubernetes.io/name: web\n  template", 1)))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{
		"":                                       1,
		"metadata.name":                          4,
		"spec.replicas":                          6,
		"spec.selector":                          7,
		"spec.selector.matchLabels[app]":         9,
		"spec.selector.matchLabels.app":          9,
		"spec.strategy.rollingUpdate":            5,
		"spec.template.spec.containers[0].image": 18,
		"spec.template.spec.containers[0].ports[0].containerPort": 20,
		"spec.template.spec.containers[0].livenessProbe":          17,
		"spec.template.spec.containers[7].image":                  16,
		"spec.selector.matchLabels[app.kubernetes.io/name]":       10,
		"spec.selector.matchLabels.app.kubernetes.io/name":        10,
		"status.nothing": 1,
	} {
		if got := docs[0].Line(path); got != want {
			t.Errorf("Line(%q) = %d, want %d", path, got, want)
		}
	}
}
