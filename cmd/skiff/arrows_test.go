package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestArrows reads the import graph. Arrows point down only: the command uses
// the orchestrator, the orchestrator its parts, these the runtime and the proxy,
// which know nothing of each other nor of what is above them.
func TestArrows(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	files := 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			if path != root && (strings.HasPrefix(name, ".") || name == "examples" || name == "bin" || name == "testdata") {
				return fs.SkipDir
			}
			return nil
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		files++
		at, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		checkFile(t, path, filepath.ToSlash(at))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 50 {
		t.Errorf("only %d files were read: the test looks in the wrong place", files)
	}
}

func checkFile(t *testing.T, path, at string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		t.Errorf("%s: %v", at, err)
		return
	}
	folder := at[:strings.LastIndex(at, "/")]
	if folder == "runtime" {
		t.Errorf("%s: no Go file lies directly in runtime, whose name would shadow the standard library's", at)
	}
	if name := parsed.Name.Name; slices.Contains([]string{"util", "utils", "common", "helpers", "types", "pkg"}, name) {
		t.Errorf("%s: a package called %s says nothing about what is in it", at, name)
	}
	test := strings.HasSuffix(at, "_test.go")
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Errorf("%s: %v", at, err)
			continue
		}
		if why := forbidden(folder, imported, test); why != "" {
			t.Errorf("%s imports %s: %s", at, imported, why)
		}
	}
}

// forbidden says why a package in folder must not import the other one. Tests
// may reach down further than the code that they test, but never up or across.
func forbidden(folder, imported string, test bool) string {
	below := func(path, parent string) bool { return path == parent || strings.HasPrefix(path, parent+"/") }
	own, isOwn := strings.CutPrefix(imported, "skiff/")
	switch {
	case below(imported, "github.com/docker/docker") && folder != "runtime/docker" && !test:
		return "only runtime/docker speaks to the engine"
	case below(folder, "proxy") && (strings.HasPrefix(imported, "k8s.io/") || strings.HasPrefix(imported, "github.com/docker/")):
		return "the proxy knows nothing of Kubernetes or Docker"
	case !isOwn:
		return ""
	case below(own, "cmd"):
		return "nothing imports a command"
	case below(folder, "proxy") && !below(own, "proxy"):
		return "the proxy imports nothing else of skiff"
	case below(folder, "runtime") && !below(own, "runtime"):
		return "the runtime imports nothing of skiff but itself"
	case strings.HasPrefix(folder, "orchestrator/") && own == "orchestrator" && !below(folder, "orchestrator/skifftest"):
		return "arrows point down: a part does not import the whole"
	case below(folder, "cmd") && !test && !slices.Contains([]string{"orchestrator", "orchestrator/manifest", "orchestrator/check"}, own):
		return "commands are clients of the API"
	}
	return ""
}

func TestForbidden(t *testing.T) {
	t.Parallel()
	for _, arrow := range []struct {
		from, to string
		allowed  bool
	}{
		{"cmd/skiff", "skiff/orchestrator", true},
		{"cmd/skiff", "skiff/orchestrator/manifest", true},
		{"cmd/skiff", "skiff/orchestrator/store", false},
		{"cmd/skiff", "skiff/runtime/docker", false},
		{"cmd/skiff", "k8s.io/client-go/dynamic", true},
		{"orchestrator", "skiff/orchestrator/node", true},
		{"orchestrator", "skiff/runtime/docker", true},
		{"orchestrator/node", "skiff/runtime/probe", true},
		{"orchestrator/node", "skiff/orchestrator", false},
		{"orchestrator/skifftest", "skiff/orchestrator", true},
		{"orchestrator/node", "skiff/cmd/skiff", false},
		{"orchestrator/node", "github.com/docker/docker/client", false},
		{"runtime/docker", "github.com/docker/docker/client", true},
		{"runtime/docker", "skiff/runtime/container", true},
		{"runtime/docker", "skiff/proxy", false},
		{"runtime/probe", "skiff/orchestrator/resource", false},
		{"proxy", "skiff/proxy/pool", true},
		{"proxy", "skiff/runtime/container", false},
		{"proxy/pool", "k8s.io/apimachinery/pkg/types", false},
	} {
		if why := forbidden(arrow.from, arrow.to, false); (why == "") != arrow.allowed {
			t.Errorf("%s → %s: allowed %v, want %v (%s)", arrow.from, arrow.to, why == "", arrow.allowed, why)
		}
	}
}
