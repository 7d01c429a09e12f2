//go:build unix

package fsgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func groupOf(t *testing.T, path string) (int, fs.FileMode) {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return int(info.Sys().(*syscall.Stat_t).Gid), info.Mode()
}

func TestGive(t *testing.T) {
	t.Parallel()
	group := os.Getgid()
	if os.Geteuid() == 0 {
		group = 4321
	}
	outside := filepath.Join(t.TempDir(), "outside")
	root := t.TempDir()
	for path, mode := range map[string]fs.FileMode{outside: 0o600, root + "/file": 0o604} {
		if err := os.WriteFile(path, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(root+"/a/b", 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range 2*atOnce + 1 { // more than is read at a time
		if err := os.WriteFile(fmt.Sprintf("%s/a/b/%d", root, i), nil, 0o400); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Symlink(outside, root+"/a/link"), syscall.Mkfifo(root+"/a/pipe", 0o600)); err != nil {
		t.Fatal(err)
	}
	before, _ := groupOf(t, outside)
	if err := Run(t.Context(), []string{fmt.Sprint(group), root}); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]fs.FileMode{
		root:            fs.ModeDir | fs.ModeSetgid | 0o770,
		root + "/file":  0o664,
		root + "/a":     fs.ModeDir | fs.ModeSetgid | 0o770,
		root + "/a/b":   fs.ModeDir | fs.ModeSetgid | 0o770,
		root + "/a/b/0": 0o660, fmt.Sprintf("%s/a/b/%d", root, 2*atOnce): 0o660,
		root + "/a/pipe": fs.ModeNamedPipe | 0o660,
	} {
		got, mode := groupOf(t, path)
		if path == root {
			mode &^= 0o005 // the test's own directory is open to others
		}
		if got != group || mode != want {
			t.Errorf("%s: group %d, mode %v; want %d, %v", path, got, mode, group, want)
		}
	}
	if got, mode := groupOf(t, outside); got != before || mode != 0o600 {
		t.Errorf("what a link points to: group %d, mode %v", got, mode)
	}
	if got, _ := groupOf(t, root+"/a/link"); got != group {
		t.Errorf("the link itself: group %d", got)
	}
}

// An interrupted walk leaves the root as it was, so that it is seen to be undone.
func TestGiveCutShort(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := errors.Join(os.WriteFile(root+"/file", nil, 0o600), os.Chmod(root, 0o700)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Give(ctx, root, os.Getgid()); !errors.Is(err, context.Canceled) {
		t.Errorf("a walk that is over before it begins: %v", err)
	}
	if _, mode := groupOf(t, root); mode != fs.ModeDir|0o700 {
		t.Errorf("mode of the root: %v", mode)
	}
}

func TestGiveIsBounded(t *testing.T) {
	t.Parallel()
	dir, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := dir.MkdirAll(strings.Repeat("d/", deepest+1), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Give(t.Context(), dir.Name(), os.Getgid()); err == nil || !strings.Contains(err.Error(), "lie in each other") {
		t.Errorf("a deep tree: %v", err)
	}
}

func TestRunRefuses(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"1"}, {"-1", "/"}, {"x", "/"}, {"1", "/", "/"}, {"1", "/nowhere/at/all"}} {
		if err := Run(t.Context(), args); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
}
