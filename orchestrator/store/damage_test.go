package store

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// filled returns the bytes of a store with some entries in it.
func filled(t testing.TB) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store.db")
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, s)
	for i := range 50 {
		mustCreate(t, s, pod("a", fmt.Sprint(i)), strings.Repeat("x", 1000))
	}
	stop()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw[:used(t, path)]
}

// used is how much of the file has ever been written; it grows ahead of need.
func used(t testing.TB, path string) (size int64) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.View(func(tx *bolt.Tx) error { size = tx.Size(); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return size
}

func TestDamagedFile(t *testing.T) {
	t.Parallel()
	whole := filled(t)
	for name, raw := range map[string][]byte{
		"garbage":         bytes.Repeat([]byte("garbage "), 10000),
		"text":            []byte("hello\n"),
		"cut to a page":   whole[:4096],
		"cut to three":    whole[:3*4096],
		"cut in half":     whole[:len(whole)/2],
		"end cut":         whole[:len(whole)-4096*4],
		"zeros":           make([]byte, 64<<10),
		"zeros behind":    append(bytes.Clone(whole[:2*4096]), make([]byte, len(whole)-2*4096)...),
		"random behind":   append(bytes.Clone(whole[:2*4096]), random(len(whole)-2*4096)...),
		"a value changed": bytes.Replace(whole, []byte("xxxxxxxx"), []byte("xxxxyxxx"), -1),
		"both heads bad":  append(random(2*4096), whole[2*4096:]...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "store.db")
			if err := os.WriteFile(path, raw, 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := Open(path)
			if err == nil {
				t.Fatal(errors.Join(errors.New("opened"), s.Close()))
			}
			if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "move the file away") {
				t.Errorf("error: %v", err)
			}
			after, err := os.ReadFile(path)
			if err != nil || !bytes.Equal(after, raw) {
				t.Errorf("the file was changed (%v)", err)
			}
		})
	}
}

func random(n int) []byte {
	raw := make([]byte, n)
	source := rand.New(rand.NewPCG(1, 2))
	for i := range raw {
		raw[i] = byte(source.Uint32())
	}
	return raw
}

func TestForeignFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(func(tx *bolt.Tx) error { _, err := tx.CreateBucket([]byte("theirs")); return err }); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); !errors.Is(err, ErrDamaged) {
		t.Errorf("open: %v", err)
	}
}

func TestLockedFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	openAt(t, path)
	if _, err := Open(path); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), path) {
		t.Errorf("second open: %v", err)
	}
}

func TestUnusablePath(t *testing.T) {
	t.Parallel()
	if _, err := Open(filepath.Join(t.TempDir(), "none", "store.db")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("open below a missing directory: %v", err)
	}
	if _, err := Open(t.TempDir()); err == nil {
		t.Error("opened a directory")
	}
}

// Whatever bytes are flipped, opening and reading end with an error or a value,
// not with the process.
func FuzzDamagedFile(f *testing.F) {
	whole := filled(f)
	f.Add(uint32(0), []byte{1})
	f.Add(uint32(16), []byte{0xff, 0xff, 0xff, 0xff})
	f.Add(uint32(8200), []byte{2, 0, 0xff, 0xff})
	f.Add(uint32(8207), []byte("\x01\xfe\xff\xff"))
	f.Fuzz(func(t *testing.T, offset uint32, patch []byte) {
		raw := bytes.Clone(whole)
		copy(raw[int(offset)%len(raw):], patch)
		path := filepath.Join(t.TempDir(), "store.db")
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path)
		if err != nil {
			return
		}
		_, _ = s.List(Query{Storage: "pods"})
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}
