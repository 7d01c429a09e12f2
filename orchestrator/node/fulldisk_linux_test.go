package node

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"skiff/orchestrator/disktest"
)

// TestFilesOnAFullDisk: what there is no room for leaves the files as they were,
// and nothing of itself, however often it is tried.
func TestFilesOnAFullDisk(t *testing.T) {
	t.Parallel()
	disk := disktest.New(t, 1<<20)
	dir := filepath.Join(disk.Dir, "volume")
	write := func(text string, size int) error {
		return writeFiles(dir, map[string]file{"a": {data: []byte(text), mode: 0o644}, "b": {data: bytes.Repeat([]byte("x"), size), mode: 0o644}}, owner{})
	}
	shows := func(want string) {
		t.Helper()
		if got, err := os.ReadFile(filepath.Join(dir, "a")); err != nil || string(got) != want {
			t.Errorf("a is %q, want %q (%v)", got, want, err)
		}
		if versions, err := filepath.Glob(filepath.Join(dir, "..2*")); err != nil || len(versions) != 1 {
			t.Errorf("versions: %v, %v", versions, err)
		}
	}
	if err := write("old", 1); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := write("new", 1<<20); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("more than there is room for: %v", err)
		}
		shows("old")
	}
	if err := write("new", 512<<10); err != nil {
		t.Error(err)
	}
	shows("new")
}
