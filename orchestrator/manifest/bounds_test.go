package manifest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/client-go/kubernetes/scheme"
)

func bomb() string {
	var b strings.Builder
	b.WriteString("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := range 12 {
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i), 10), ","))
	}
	return b.String()
}

func TestBounds(t *testing.T) {
	t.Parallel()
	const head = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
	tests := []struct{ name, text, want string }{
		{"alias bomb", bomb(), "web.yaml:1: the document has more than 500000 values, with its aliases expanded"},
		{"alias of itself", head + "data: &a {b: *a}\n", `web.yaml:4: data.b.b: anchor "a" contains itself`},
		{"alias of much text", head + "x: &x " + strings.Repeat("x", 1<<20) + "\ny: [" + strings.Repeat("*x,", 40) + "]\n",
			"web.yaml:1: the document has more than 32 MB of text, with its aliases expanded"},
		{"nested lists", head + "data: " + strings.Repeat("[", 9000) + strings.Repeat("]", 9000), "web.yaml:1: the document is nested more than 200 levels deep"},
		{"nested beyond the parser", strings.Repeat("[", 100_000), "web.yaml:1: not valid YAML: exceeded max depth of 10000"},
		{"nested JSON", `{"a":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + "}", "web.yaml:1: the document is nested more than 200 levels deep"},
		{"many values", strings.Repeat("- \n", 2_000_000), "web.yaml:1: the document has more than 3000000 values"},
		{"many values in JSON", `{"a":[` + strings.Repeat("1,", 600_000) + "1]}", "web.yaml:1: the document has more than 500000 values, with its aliases expanded"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse("web.yaml", []byte(test.text))
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("error %.200v, want %s", err, test.want)
			}
		})
	}
}

func TestErrorsAreBounded(t *testing.T) {
	t.Parallel()
	_, err := Parse("web.yaml", []byte(deployment+strings.Repeat("---\n", 1)+"apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec:\n"+manyFields(5000)))
	if n := strings.Count(err.Error(), "\n") + 1; n != maxErrors {
		t.Errorf("%d errors, want %d", n, maxErrors)
	}
}

func manyFields(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "  field%d: 1\n", i)
	}
	return b.String()
}

func TestLoadSources(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	object := func(name string) string {
		return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\n"
	}
	write("m/b.yaml", object("b"))
	write("m/a.yml", object("a"))
	write("m/c.json", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"}}`)
	write("m/README.md", "# not a manifest")
	write("m/deeper/d.yaml", object("d"))
	write("none/README.md", "# not a manifest")
	if err := os.WriteFile(filepath.Join(dir, "big.yaml"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, "big.yaml"), 50<<20); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/web.yaml":
			fmt.Fprint(w, object("url"))
		case "/big.yaml":
			for range 17 << 10 {
				fmt.Fprint(w, strings.Repeat("#", 1<<10))
			}
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	path := func(name string) string { return filepath.Join(dir, name) }

	tests := []struct {
		name      string
		files     []string
		recursive bool
		want      string
		err       string
	}{
		{name: "file", files: []string{path("m/b.yaml")}, want: "b"},
		{name: "directory", files: []string{path("m")}, want: "a b c"},
		{name: "directory and below", files: []string{path("m")}, recursive: true, want: "a b c d"},
		{name: "several in the order given", files: []string{path("m/b.yaml"), path("m/a.yml")}, want: "b a"},
		{name: "standard input", files: []string{"-"}, want: "in"},
		{name: "URL", files: []string{server.URL + "/web.yaml"}, want: "url"},
		{name: "URL that is not there", files: []string{server.URL + "/no.yaml"}, err: "read manifest " + server.URL + "/no.yaml: the server answered 404 Not Found"},
		{name: "URL without end", files: []string{server.URL + "/big.yaml"}, err: server.URL + "/big.yaml is more than 16 MB; manifests may be at most 16 MB"},
		{name: "file that is not there", files: []string{path("no.yaml")}, err: fmt.Sprintf("the path %q does not exist", path("no.yaml"))},
		{name: "directory without manifests", files: []string{path("none")}, err: fmt.Sprintf("no manifests in directory %q: its files must end in .json, .yaml, .yml", path("none"))},
		{name: "50 MB", files: []string{path("big.yaml")}, err: path("big.yaml") + " is 50 MB; manifests may be at most 16 MB"},
		{name: "standard input twice", files: []string{"-", "-"}, err: `standard input ("-") can be read only once`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			docs, err := Load(t.Context(), Options{Files: test.files, Recursive: test.recursive, Stdin: strings.NewReader(object("in"))})
			if test.err != "" {
				if err == nil || err.Error() != test.err {
					t.Errorf("error %v, want %s", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, d := range docs {
				names = append(names, d.Object.GetName())
			}
			if got := strings.Join(names, " "); got != test.want {
				t.Errorf("objects %q, want %q", got, test.want)
			}
		})
	}
}

// FuzzParse holds the package against Kubernetes' own strict decoder: what it
// lets through must decode, and nothing may make it panic.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		deployment, "", "---\n", "{", `{"apiVersion":"v1"}`, "a: &a [*a]", "<<: {a: b}", "a: !!binary x", "? [a]\n: b",
		"apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: a, image: b, resources: {limits: {cpu: 1}}}]}}\n",
		"apiVersion: v1\nkind: Secret\nmetadata: {name: a, creationTimestamp: null}\ndata: {a: YQ==}\n",
		"apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 1, targetPort: http}]}\n",
	} {
		f.Add([]byte(seed))
	}
	strict := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme.Scheme, scheme.Scheme, json.SerializerOptions{Strict: true})
	f.Fuzz(func(t *testing.T, data []byte) {
		docs, err := Parse("x.yaml", data)
		if err != nil {
			if len(docs) > 0 || err.Error() == "" {
				t.Errorf("documents next to an error, or an error without words: %v", err)
			}
			return
		}
		for _, d := range docs {
			if at := d.Line("spec.template"); at < 1 || at > 1+strings.Count(string(data), "\n") {
				t.Errorf("line %d of a file with fewer", at)
			}
			raw, err := d.Object.MarshalJSON()
			if err != nil {
				t.Fatalf("encode: %v", err)
			}
			if _, _, err := strict.Decode(raw, nil, nil); err != nil && !runtime.IsNotRegisteredError(err) {
				t.Errorf("accepted what does not decode: %v\n%s", err, raw)
			}
		}
	})
}
