package orchestrator

import (
	"crypto/rand"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"skiff/orchestrator/store"
)

// What somebody else keeps in an instance's data directory is none of its purge's
// business, and a directory that is no instance's stays as it is: it was named by
// mistake, and what the engine has by that name is another's.
func TestPurgeLeavesOtherFiles(t *testing.T) {
	t.Parallel()
	o := Options{
		Name: "test-" + strings.ToLower(rand.Text()[:10]), DataDir: t.TempDir(), Listen: "127.0.0.1:0",
		Log: slog.New(slog.DiscardHandler),
	}
	paths, precious := PathsIn(o.DataDir), filepath.Join(o.DataDir, "precious")
	touch(t, precious)
	if err := Purge(t.Context(), o); !errors.Is(err, ErrNoInstance) {
		t.Errorf("purge of no instance: %v", err)
	}
	onlyPrecious(t, o.DataDir)

	if err := paths.claim(o.Name); err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(paths.State)
	if err == nil {
		err = st.Close()
	}
	if err == nil {
		err = errors.Join(os.MkdirAll(filepath.Join(paths.Pods, "uid"), 0o700), os.Mkdir(paths.PKI, 0o700))
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{paths.Kubeconfig, filepath.Join(o.DataDir, ".kubeconfig-1234"), paths.Log, paths.PID, paths.PID + nextSuffix, paths.control} {
		touch(t, file)
	}
	if err := Purge(t.Context(), o); err != nil {
		t.Error(err)
	}
	onlyPrecious(t, o.DataDir)

	if err := os.Remove(precious); err != nil {
		t.Fatal(err)
	}
	if err := Purge(t.Context(), o); !errors.Is(err, ErrNoInstance) {
		t.Errorf("another purge: %v", err)
	}
	if _, err := os.Stat(o.DataDir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory, with nothing in it: %v", err)
	}
}

func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func onlyPrecious(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if !slices.Equal(names, []string{"precious"}) {
		t.Errorf("left: %s", strings.Join(names, " "))
	}
}
