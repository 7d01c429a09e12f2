// Package disktest gives a test a disk that is soon full.
package disktest

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// Disk is a file system of a test's own.
type Disk struct {
	Dir    string
	filler string
}

// New gives a disk of so many bytes that is there until the test ends. It takes
// root; without, the test is skipped.
func New(t testing.TB, size int) *Disk {
	t.Helper()
	d := &Disk{Dir: t.TempDir()}
	d.filler = filepath.Join(d.Dir, "filler")
	if err := syscall.Mount("tmpfs", d.Dir, "tmpfs", 0, "size="+strconv.Itoa(size)); err != nil {
		t.Skipf("a small disk of the test's own: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(d.Dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return d
}

// Fill leaves no room for anything else.
func (d *Disk) Fill(t testing.TB) {
	t.Helper()
	f, err := os.Create(d.filler)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 64<<10); err == nil; {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("fill the disk: %v", err)
	}
}

// Give gives so many bytes of the room back that Fill has taken.
func (d *Disk) Give(t testing.TB, bytes int64) {
	t.Helper()
	info, err := os.Stat(d.filler)
	if err == nil {
		err = os.Truncate(d.filler, info.Size()-bytes)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Free gives the room back that Fill has taken.
func (d *Disk) Free(t testing.TB) {
	t.Helper()
	if err := os.Remove(d.filler); err != nil {
		t.Fatal(err)
	}
}
