package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
	manifests, err := filepath.Glob("../../examples/*/*.y*ml")
	if err != nil {
		t.Fatal(err)
	}
	// One example at a time: two of them describe the seed document's database.
	byExample := map[string][]string{}
	for _, file := range manifests {
		dir := filepath.Dir(file)
		byExample[dir] = append(byExample[dir], file)
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
		"scheduling.yaml": "there is one node",
		"claim.yaml":      `claim "notes" is written by the old and the new Pods`,
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

func TestCheckTellsAll(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n  prts: []\n",
		"b.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n  type: LoadBalancer\n  loadBalancerIP: 10.0.0.1\n  ports: [{port: 80}]\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := `DIR/a.yaml:5: refused: spec.prts: unknown field "prts" (did you mean "ports"?)
DIR/b.yaml:5: cluster: spec.type: here it listens on the loopback address; a cluster gives it an address that others can reach
DIR/b.yaml:6: warning: spec.loadBalancerIP: has no effect in skiff, load balancers listen on the loopback address
1 refused, 1 warning, 1 different on a cluster
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
