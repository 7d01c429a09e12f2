package main_test

import (
	"path/filepath"
	"strings"
	"testing"

	"skiff/orchestrator/disktest"
)

// TestUpOnAFullDisk: an instance whose disk is full does not start, says where
// there is no room and what to do, and starts once there is some, as if nothing
// had been. One whose disk fills while it runs says so in its status.
func TestUpOnAFullDisk(t *testing.T) {
	t.Parallel()
	disk := disktest.New(t, 64<<20)
	i := newInstance(t)
	i.dir = filepath.Join(disk.Dir, "data")
	i.env = append(i.env, "SKIFF_DATA_DIR="+i.dir, "KUBECONFIG="+i.paths().Kubeconfig)
	hint := "no space left on device: make room on the disk of " + i.dir + ", or keep the instance elsewhere with --data-dir\n"
	for _, pages := range []int64{0, 2, 8} { // it ends at its first file, the store, the certificates
		disk.Fill(t)
		disk.Give(t, pages<<12)
		if r := try(t, i.skiff, "up", "-d", "--listen", "127.0.0.1:0"); r.code != 1 || r.out != "" || !strings.HasPrefix(r.err, "error: skiff did not start: ") || !strings.HasSuffix(r.err, hint) {
			t.Errorf("up with room for %d pages: %v", pages, r)
		}
		if r := try(t, i.skiff, "status"); r.code != 1 || !strings.Contains(r.err, "skiff is not running") {
			t.Errorf("status after it: %v", r)
		}
		if left := i.containers(t); len(left) != 0 {
			t.Errorf("left: %v", left)
		}
		disk.Free(t)
	}
	i.up(t)
	const full = " (its disk is full: "
	if status := must(t, i.skiff, "status"); strings.Contains(status, full) {
		t.Errorf("with room: %s", status)
	}
	disk.Fill(t)
	if status := must(t, i.skiff, "status"); !strings.Contains(status, i.dir+full) {
		t.Errorf("without: %s", status)
	}
	disk.Free(t)
}
