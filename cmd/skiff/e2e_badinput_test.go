package main_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// sound is a Deployment that nothing is wrong with; the cases spoil it.
const sound = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 0
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
        image: skiff-example/web:1
`

// badInput is a manifest that is refused.
type badInput struct {
	name string
	text string
	want string // a line that skiff prints on standard error, the file as FILE
	// what kubectl's error has, which reads files by itself and knows no lines;
	// empty: kubectl has no objection
	kubectl string
}

func spoil(old, by string) string { return strings.Replace(sound, old, by, 1) }

func badInputs() []badInput {
	return []badInput{
		{"unknown field", spoil("  replicas: 0", "  replica: 0"),
			`FILE:6: spec.replica: unknown field "replica" (did you mean "replicas"?)`,
			`unknown field "spec.replica"`},
		{"unknown field deep down", spoil("        image:", "        imagePolicy: Never\n        image:"),
			`FILE:17: spec.template.spec.containers[0].imagePolicy: unknown field "imagePolicy"`,
			`unknown field "spec.template.spec.containers[0].imagePolicy"`},
		{"wrong type", spoil("replicas: 0", "replicas: two"),
			`FILE:6: spec.replicas: expected a whole number, got the string "two"`,
			`spec.replicas`},
		{"missing selector", spoil("  selector:\n    matchLabels:\n      app: web\n", ""),
			`FILE:5: spec.selector: Required value`,
			`spec.selector: Required value`},
		{"selector that does not match", spoil("        app: web\n    spec", "        app: other\n    spec"),
			`FILE:12: spec.template.metadata.labels: Invalid value: {"app":"other"}: ` + "`selector` does not match template `labels`",
			"`selector` does not match template `labels`"},
		{"negative replicas", spoil("replicas: 0", "replicas: -1"),
			`FILE:6: spec.replicas: Invalid value: -1: must be greater than or equal to 0`,
			`spec.replicas: Invalid value: -1: must be greater than or equal to 0`},
		{"unknown kind", spoil("kind: Deployment", "kind: Deploymint"),
			`FILE:2: kind: no kind "Deploymint" in apps/v1 (did you mean "Deployment"?)`,
			`no matches for kind "Deploymint" in version "apps/v1"`},
		{"unknown version", spoil("apps/v1", "apps/v9"),
			`FILE:1: apiVersion: no version "apps/v9" (known are apps/v1, apps/v1beta1, apps/v1beta2)`,
			`no matches for kind "Deployment" in version "apps/v9"`},
		{"no kind", spoil("kind: Deployment\n", ""), `FILE:1: kind: kind is missing`, `kind not set`},
		{"bad image reference", spoil("skiff-example/web:1", "Skiff Example:1"),
			`FILE:17: spec.template.spec.containers[0].image: Invalid value: "Skiff Example:1": not an image reference: invalid reference format: repository name (library/Skiff Example) must be lowercase`,
			`spec.template.spec.containers[0].image: Invalid value: "Skiff Example:1"`},
		{"two at once", spoil("replicas: 0", "replicas: -1") + "        ports:\n        - containerPort: 70000\n",
			`FILE:19: spec.template.spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive`,
			`spec.replicas: Invalid value: -1`},
		{"key twice", spoil("  replicas: 0", "  replicas: 0\n  replicas: 1"),
			`FILE:7: spec: key "replicas" is set twice, first on line 6`, ""}, // kubectl takes the last
		{"broken YAML", spoil("  name: web", "\tname: web"), `FILE:4: not valid YAML: found character that cannot start any token (YAML is indented by spaces, not by tabs)`, `yaml`},
		{"empty file", "", `FILE:1: the file is empty: it has no document`, `no objects passed to create`},
		{"binary file", string([]byte{0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0xff, 0xfe, 0x80, '\n', 0}), `FILE: this is a binary file, not a manifest`, `yaml`},
		{"alias bomb", aliasBomb(), `FILE:1: the document has more than 500000 values, with its aliases expanded`, `yaml`},
	}
}

func aliasBomb() string {
	var b strings.Builder
	b.WriteString(sound + "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for n := range 12 {
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", n+1, n+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", n), 10), ","))
	}
	return b.String()
}

// TestBadInput sends what is wrong, each kind of wrong for itself. It is refused
// with file, line and field path, and nothing is created.
func TestBadInput(t *testing.T) {
	t.Parallel()
	needKubectl(t)
	i := start(t)
	for n, bad := range badInputs() {
		file := i.write(t, strings.ReplaceAll(bad.name, " ", "-")+".yaml", bad.text)
		foretold := strings.Replace(strings.ReplaceAll(bad.want, "FILE", file), ": ", ": refused: ", 1)
		if r := try(t, i.skiff, "check", file); r.code != 1 || r.err != "" || !strings.Contains("\n"+r.out, "\n"+foretold+"\n") {
			t.Errorf("%s: skiff check: want %q, got %v", bad.name, foretold, r)
		}
		for m, command := range []string{"create", "apply"} {
			r := try(t, i.skiff, command, "-f", file)
			want := strings.ReplaceAll(bad.want, "FILE", file)
			if r.code != 1 || r.out != "" || !strings.Contains("\n"+r.err, "\n"+want+"\n") {
				t.Errorf("%s: skiff %s: want %q, got %v", bad.name, command, want, r)
			}
			i.nothingCreated(t, bad.name)
			if bad.kubectl == "" || (n+m)%2 > 0 { // its two commands take turns: each takes its time
				continue
			}
			wantTheirs := strings.Replace(bad.kubectl, "create", command, 1)
			if r := try(t, i.kubectl, command, "-f", file); r.code != 1 || r.out != "" || !strings.Contains(r.err, wantTheirs) {
				t.Errorf("%s: kubectl %s: want %q, got %v", bad.name, command, wantTheirs, r)
			}
			i.nothingCreated(t, bad.name)
		}
	}
}

func (i *instance) nothingCreated(t *testing.T, after string) {
	t.Helper()
	api := i.api(t)
	deployments, err := api.Client.AppsV1().Deployments("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatalf("%s: the API does not answer any more: %v", after, err)
	}
	for _, d := range deployments.Items {
		t.Errorf("%s: deployment %s exists", after, d.Name)
	}
}

// TestBadInputAmongGood: one document of a file that cannot even be read keeps
// all of it from being sent; one that the server refuses keeps only itself out.
func TestBadInputAmongGood(t *testing.T) {
	t.Parallel()
	i := start(t)
	good := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: good}\n---\n"

	unread := i.write(t, "unread.yaml", good+spoil("  replicas: 0", "  replica: 0"))
	r := try(t, i.skiff, "create", "-f", unread)
	if want := `unread.yaml:10: spec.replica: unknown field "replica" (did you mean "replicas"?)` + "\n"; r.code != 1 || r.out != "" || r.err != want {
		t.Errorf("want %q, got %v", want, r)
	}
	if r := try(t, i.skiff, "get", "configmap", "good"); r.code != 1 {
		t.Errorf("an object of a manifest with an unknown field was created: %v", r)
	}

	refused := i.write(t, "refused.yaml", good+spoil("replicas: 0", "replicas: -1"))
	r = try(t, i.skiff, "create", "-f", refused)
	if want := "refused.yaml:10: spec.replicas: Invalid value: -1: must be greater than or equal to 0\n"; r.code != 1 || r.out != "configmap/good created\n" || r.err != want {
		t.Errorf("want %q, got %v", want, r)
	}
	i.nothingCreated(t, "one of two refused")

	twice := i.write(t, "twice.yaml", sound+"---\n"+sound)
	r = try(t, i.skiff, "create", "-f", twice)
	if want := `twice.yaml:22: metadata.name: Deployment "web" is described twice, first at twice.yaml:4` + "\n"; r.code != 1 || r.out != "" || r.err != want {
		t.Errorf("duplicate name: want %q, got %v", want, r)
	}
	must(t, i.skiff, "create", "-f", i.write(t, "once.yaml", sound))
	moved := i.write(t, "moved.yaml", strings.ReplaceAll(sound, "app: web", "app: other"))
	want := "moved.yaml:7: spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"other\"}}: field is immutable\n"
	if r := try(t, i.skiff, "apply", "-f", moved); r.code != 1 || r.out != "" || !strings.HasSuffix(r.err, want) {
		t.Errorf("changed selector: want %q, got %v", want, r)
	}
	if r := try(t, i.kubectl, "apply", "-f", moved); r.code != 1 || r.out != "" || !strings.Contains(r.err, "spec.selector: Invalid value") || !strings.Contains(r.err, "field is immutable") {
		t.Errorf("changed selector with kubectl: %v", r)
	}
	if got := must(t, i.skiff, "get", "deployment", "web", "-o", "jsonpath={.spec.selector.matchLabels.app}"); got != "web" {
		t.Errorf("the selector is now %q", got)
	}
}

// TestBigInput sends 50 MB.
func TestBigInput(t *testing.T) {
	t.Parallel()
	needKubectl(t)
	i := start(t)
	file := "huge.yaml"
	text := bytes.Repeat([]byte("x"), 50<<20)
	copy(text, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: huge}\ndata:\n  x: ")
	if err := os.WriteFile(filepath.Join(i.work, file), text, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"create", "apply"} {
		if r, want := try(t, i.skiff, command, "-f", file), "error: huge.yaml is 50 MB; manifests may be at most 16 MB\n"; r.code != 1 || r.out != "" || r.err != want {
			t.Errorf("%s: want %q, got %v", command, want, r)
		}
	}
	r := try(t, i.kubectl, "create", "-f", file)
	if r.code != 1 || r.out != "" || !strings.Contains(r.err, "too large") || len(r.err) > 1000 {
		t.Errorf("kubectl create: exit code %d, %.1000s", r.code, r.err)
	}
	if r := try(t, i.skiff, "get", "configmap", "huge"); r.code != 1 || !strings.Contains(r.err, "not found") {
		t.Errorf("after 50 MB: %v", r)
	}
}
