package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"skiff/orchestrator/disktest"
)

// TestFullDisk: a file that cannot grow is not a damaged one, which a user would
// move away.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	for _, kB := range []int{4, 8, 16, 20} {
		disk := disktest.New(t, kB<<10)
		_, err := Open(filepath.Join(disk.Dir, "state.db"))
		if !errors.Is(err, syscall.ENOSPC) || errors.Is(err, ErrDamaged) {
			t.Errorf("on a disk of %d kB: %v", kB, err)
		}
	}
}

// TestDiskFillsUp: writes for which there is no room are refused as a whole, and
// nobody is told of them. What was there is read all the while, and once there
// is room again the same store takes writes.
func TestDiskFillsUp(t *testing.T) {
	t.Parallel()
	disk := disktest.New(t, 2<<20)
	path := filepath.Join(disk.Dir, "state.db")
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, s)
	acknowledged := map[string]uint64{}
	create := func(n int) error {
		name := fmt.Sprint(n)
		revision, err := s.Create(t.Context(), pod("a", name), []byte(strings.Repeat(name+" ", 10_000)))
		if err == nil {
			acknowledged[name] = revision
		}
		return err
	}
	for n := range 5 {
		if err := create(n); err != nil {
			t.Fatal(err)
		}
	}
	w := mustWatch(t, s, "", s.Revision())
	disk.Fill(t)
	for n := 5; err == nil && n < 1000; n++ { // what is free within the file still takes some
		err = create(n)
	}
	for range 3 {
		if !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), path) || errors.Is(err, ErrDamaged) {
			t.Errorf("a write to the full disk: %v", err)
		}
		if s.Revision() != uint64(len(acknowledged))+1 {
			t.Errorf("at revision %d after %d writes", s.Revision(), len(acknowledged))
		}
		err = create(1000)
	}
	checkAll(t, s, acknowledged)
	disk.Free(t)
	if err := create(1000); err != nil {
		t.Errorf("with room again: %v", err)
	}
	checkAll(t, s, acknowledged)
	for told := 5; told < len(acknowledged); {
		events, err := w.Next(t.Context())
		if err != nil {
			t.Fatalf("a watch through it all: %v", err)
		}
		for _, e := range events {
			if e.Revision != acknowledged[e.Key.Name] {
				t.Errorf("the watch was told of %s at %d, which was written at %d", e.Key.Name, e.Revision, acknowledged[e.Key.Name])
			}
			told++
		}
	}
	stop()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	checkAll(t, openAt(t, path), acknowledged)
}

// checkAll fails the test unless the store has exactly what was acknowledged.
func checkAll(t *testing.T, s *Store, acknowledged map[string]uint64) {
	t.Helper()
	page, err := s.List(Query{Storage: "pods"})
	if err != nil || len(page.Entries) != len(acknowledged) {
		t.Errorf("%d entries of %d: %v", len(page.Entries), len(acknowledged), err)
	}
	for _, e := range page.Entries {
		if acknowledged[e.Key.Name] != e.Modified {
			t.Errorf("%s is at revision %d, and was written at %d", e.Key.Name, e.Modified, acknowledged[e.Key.Name])
		}
	}
}
