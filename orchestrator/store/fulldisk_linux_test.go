package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
)

// TestFullDisk: a file that cannot grow is not a damaged one, which a user would
// move away.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	for _, kB := range []int{4, 8, 16, 20} {
		disk := t.TempDir()
		if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, fmt.Sprintf("size=%dk", kB)); err != nil {
			t.Skipf("a small disk of the test's own: %v", err)
		}
		t.Cleanup(func() {
			if err := syscall.Unmount(disk, 0); err != nil {
				t.Error(err)
			}
		})
		_, err := Open(filepath.Join(disk, "state.db"))
		if !errors.Is(err, syscall.ENOSPC) || errors.Is(err, ErrDamaged) {
			t.Errorf("on a disk of %d kB: %v", kB, err)
		}
	}
}
