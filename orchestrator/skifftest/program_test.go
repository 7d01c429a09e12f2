package skifftest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSourcesOfAnotherModule: a test outside of this repository must not have
// its own Makefile asked for skiff's program.
func TestSourcesOfAnotherModule(t *testing.T) {
	t.Parallel()
	own, err := sources(".")
	if err != nil {
		t.Fatal(err)
	}
	if want, err := filepath.Abs("../.."); err != nil || own != want {
		t.Errorf("seen from here, skiff is in %q, want %q (%v)", own, want, err)
	}

	module, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile("../../go.sum")
	if err != nil {
		t.Fatal(err)
	}
	other := t.TempDir()
	files := map[string]string{
		"go.mod": strings.Replace(string(module), "module skiff\n", "module example.com/shop\n", 1) +
			"\nrequire skiff v0.0.0\n\nreplace skiff => " + own + "\n",
		"go.sum":       string(sums),
		"shop_test.go": "package shop\n\nimport _ \"skiff/orchestrator/skifftest\"\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(other, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if found, err := sources(other); err != nil || found != own {
		t.Errorf("seen from another module, skiff is in %q, want %q (%v)", found, own, err)
	}
}
