package main

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"skiff/orchestrator/check"
)

// checked runs "skiff check", which needs no daemon.
func checked(t *testing.T, args ...string) (out, errOut string, code int) {
	t.Helper()
	var o, e strings.Builder
	code = run(t.Context(), append([]string{"skiff", "check"}, args...), testProgram(&o, &e).IOStreams)
	return o.String(), e.String(), code
}

// TestCheckExamples: what this repository offers is neither refused nor warned
// about, but for the examples that show what is. On a cluster some of it would
// be different.
func TestCheckExamples(t *testing.T) {
	t.Parallel()
	// One example at a time: two of them describe the seed document's database.
	byExample := map[string][]string{}
	err := filepath.WalkDir("../../examples", func(file string, d fs.DirEntry, err error) error {
		if ext := filepath.Ext(file); err == nil && !d.IsDir() && (ext == ".yaml" || ext == ".yml") {
			byExample[filepath.Dir(file)] = append(byExample[filepath.Dir(file)], file)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var findings []check.Finding
	for dir, files := range byExample {
		out, errOut, code := checked(t, append(files, "-o", "json")...)
		var found []check.Finding
		if err := json.Unmarshal([]byte(out), &found); code != 0 || errOut != "" || err != nil {
			t.Fatalf("%s: code %d, %s%v", dir, code, errOut, err)
		}
		findings = append(findings, found...)
	}
	shown := map[string]string{
		"scheduling.yaml":  "there is one node",
		"environment.yaml": "no Pod of these manifests has these labels", // its Service is there for its variables
		"claim.yaml":       `claim "notes" is written by the old and the new Pods`,
	}
	files := map[string]bool{}
	for _, f := range findings {
		files[filepath.Base(f.File)] = true
		if part, ok := shown[filepath.Base(f.File)]; ok && f.Level == check.Warning && strings.Contains(f.Message, part) {
			continue
		}
		if f.Level != check.Cluster || f.Line == 0 || f.Path == "" {
			t.Errorf("%v", f)
		}
	}
	for _, file := range []string{"web.yaml", "mongo.yaml", "go-demo-2-db.yml", "go-demo-2-db-svc.yml"} {
		if !files[file] {
			t.Errorf("nothing is said about %s", file)
		}
	}
}

// TestCheckRefusals: what no call of the engine offers is refused by its path and
// line, with the reason.
func TestCheckRefusals(t *testing.T) {
	t.Parallel()
	const text = `apiVersion: v1
kind: Pod
metadata: {name: refused}
spec:
  hostUsers: false
  resources:
    limits:
      memory: 64Mi
  containers:
  - name: a
    image: example.com/a:1
    securityContext:
      procMount: Unmasked
  - name: b
    image: example.com/b:1
`
	file := filepath.Join(t.TempDir(), "pod.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _, code := checked(t, file)
	var refused []string
	for line := range strings.Lines(out) {
		if strings.Contains(line, ": refused: ") {
			refused = append(refused, strings.TrimPrefix(strings.TrimSpace(line), file+":"))
		}
	}
	want := []string{
		"5: refused: spec.hostUsers: Forbidden: not supported by skiff: the Docker Engine has no user namespaces for single Pods",
		"8: refused: spec.resources.limits[memory]: Forbidden: not supported by skiff for containers that run side by side, " +
			"unless each has a limit and together they stay within this one: the Docker Engine limits single containers",
		"13: refused: spec.containers[0].securityContext.procMount: Forbidden: not supported by skiff: it needs hostUsers: false",
	}
	if diff := cmp.Diff(want, refused); diff != "" || code != 1 {
		t.Errorf("code %d (-want +got):\n%s", code, diff)
	}
}

func TestCheckTellsAll(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: api}\nspec:\n  prts: []\n",
		"b.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n  type: LoadBalancer\n  loadBalancerIP: 10.0.0.1\n  ports: [{port: 80}]\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := `DIR/a.yaml:4: refused: spec.ports: Required value
DIR/a.yaml:5: refused: spec.prts: unknown field "prts" (did you mean "ports"?)
DIR/b.yaml:5: cluster: spec.type: here it listens on the loopback address; a cluster gives it an address that others can reach
DIR/b.yaml:6: warning: spec.loadBalancerIP: has no effect in skiff, load balancers listen on the loopback address
2 refused, 1 warning, 1 different on a cluster
`
	if out, errOut, code := checked(t, dir); code != 1 || errOut != "" || strings.ReplaceAll(out, dir, "DIR") != want {
		t.Errorf("code %d, want:\n%s\ngot:\n%s%s", code, want, out, errOut)
	}
	if _, errOut, code := checked(t); code != 1 || !strings.Contains(errOut, "See 'skiff check --help' for usage.") {
		t.Errorf("without a file: code %d, %s", code, errOut)
	}
	if _, errOut, code := checked(t, dir, "-o", "yaml"); code != 1 || !strings.Contains(errOut, `no output format "yaml"`) {
		t.Errorf("as yaml: code %d, %s", code, errOut)
	}
}
