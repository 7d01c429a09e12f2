package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func newStore(t testing.TB) *Store {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "store.db"))
}

// openAt opens the store at path and runs it until the test ends.
func openAt(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, s)
	t.Cleanup(func() {
		stop()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func run(t testing.TB, s *Store) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func pod(namespace, name string) Key {
	return Key{Storage: "pods", Namespace: namespace, Name: name}
}

func mustCreate(t testing.TB, s *Store, key Key, value string) uint64 {
	t.Helper()
	revision, err := s.Create(t.Context(), key, []byte(value))
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

func TestEntryLife(t *testing.T) {
	t.Parallel()
	s, ctx := newStore(t), t.Context()
	key := pod("a", "x")
	if _, err := s.Get(key); !errors.Is(err, ErrNotFound) {
		t.Errorf("get of nothing: %v", err)
	}
	created := mustCreate(t, s, key, "one")
	if _, err := s.Create(ctx, key, []byte("again")); !errors.Is(err, ErrExists) {
		t.Errorf("second create: %v", err)
	}
	updated, err := s.Update(ctx, key, []byte("two"), created)
	if err != nil || updated <= created {
		t.Fatalf("update: %d, %v", updated, err)
	}
	if _, err := s.Update(ctx, key, []byte("three"), created); !errors.Is(err, ErrConflict) {
		t.Errorf("update of an old revision: %v", err)
	}
	entry, err := s.Get(key)
	if diff := cmp.Diff(Entry{Key: key, Value: []byte("two"), Created: created, Modified: updated}, entry); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if _, err := s.Delete(ctx, key, created); !errors.Is(err, ErrConflict) {
		t.Errorf("delete of an old revision: %v", err)
	}
	if _, err := s.Delete(ctx, key, updated); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Delete(ctx, key, updated); !errors.Is(err, ErrNotFound) {
		t.Errorf("second delete: %v", err)
	}
	if _, err := s.Update(ctx, key, nil, updated); !errors.Is(err, ErrNotFound) {
		t.Errorf("update of nothing: %v", err)
	}
}

func TestReopenKeepsAll(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, s)
	first := mustCreate(t, s, pod("a", "x"), "one")
	if err := s.SetMeta(t.Context(), "uid", []byte("1234")); err != nil {
		t.Fatal(err)
	}
	last := mustCreate(t, s, pod("a", "y"), "two")
	stop()
	if _, err := s.Create(t.Context(), pod("a", "z"), nil); !errors.Is(err, ErrClosed) {
		t.Errorf("write after the end: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(pod("a", "x")); !errors.Is(err, ErrClosed) {
		t.Errorf("read after close: %v", err)
	}

	s = openAt(t, path)
	if uid, err := s.Meta("uid"); err != nil || string(uid) != "1234" {
		t.Errorf("meta: %q, %v", uid, err)
	}
	if _, err := s.Meta("none"); !errors.Is(err, ErrNotFound) {
		t.Errorf("meta that was never set: %v", err)
	}
	if entry, err := s.Get(pod("a", "x")); err != nil || entry.Modified != first {
		t.Errorf("entry: %+v, %v", entry, err)
	}
	if s.Revision() != last {
		t.Errorf("revision %d, want %d", s.Revision(), last)
	}
	if _, err := s.Watch("pods", "", first); !errors.Is(err, ErrExpired) {
		t.Errorf("watch from an earlier run: %v", err)
	}
	if _, err := s.Watch("pods", "", last); err != nil {
		t.Errorf("watch from where the earlier run ended: %v", err)
	}
}

func names(page Page) []string {
	var all []string
	for _, e := range page.Entries {
		all = append(all, e.Key.Namespace+"/"+e.Key.Name)
	}
	return all
}

func TestList(t *testing.T) {
	t.Parallel()
	s, ctx := newStore(t), t.Context()
	for _, key := range []Key{pod("b", "1"), pod("a", "2"), pod("a-b", "1"), pod("a", "1"), {Storage: "nodes", Name: "n"}} {
		mustCreate(t, s, key, key.Name)
	}
	before := s.Revision()
	if _, err := s.Delete(ctx, pod("a", "1"), mustGet(t, s, pod("a", "1")).Modified); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Update(ctx, pod("a", "2"), []byte("new"), mustGet(t, s, pod("a", "2")).Modified); err != nil {
		t.Fatal(err)
	}
	mustCreate(t, s, pod("a", "3"), "3")
	now := s.Revision()
	for name, row := range map[string]struct {
		query     Query
		want      []string
		revision  uint64
		remaining int
	}{
		"all":               {Query{Storage: "pods"}, []string{"a-b/1", "a/2", "a/3", "b/1"}, now, 0},
		"one namespace":     {Query{Storage: "pods", Namespace: "a"}, []string{"a/2", "a/3"}, now, 0},
		"no namespaces":     {Query{Storage: "nodes"}, []string{"/n"}, now, 0},
		"unknown storage":   {Query{Storage: "none"}, nil, now, 0},
		"limited":           {Query{Storage: "pods", Limit: 1}, []string{"a-b/1"}, now, 3},
		"after":             {Query{Storage: "pods", After: pod("a", "2"), Limit: 1}, []string{"a/3"}, now, 1},
		"after a gone one":  {Query{Storage: "pods", After: pod("a", "1")}, []string{"a/2", "a/3", "b/1"}, now, 0},
		"past":              {Query{Storage: "pods", At: before}, []string{"a-b/1", "a/1", "a/2", "b/1"}, before, 0},
		"past, one of them": {Query{Storage: "pods", Namespace: "a", At: before, Limit: 1}, []string{"a/1"}, before, 1},
		"past, the rest":    {Query{Storage: "pods", Namespace: "a", At: before, After: pod("a", "1")}, []string{"a/2"}, before, 0},
	} {
		page, err := s.List(row.query)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !slices.Equal(names(page), row.want) || page.Revision != row.revision || page.Remaining != row.remaining {
			t.Errorf("%s: %v at %d, %d remain; want %v at %d, %d", name, names(page), page.Revision, page.Remaining, row.want, row.revision, row.remaining)
		}
	}
	page, err := s.List(Query{Storage: "pods", At: before, After: pod("a", "1"), Limit: 1})
	if err != nil || string(page.Entries[0].Value) != "2" {
		t.Errorf("past value: %+v, %v", page, err)
	}
	if _, err := s.List(Query{Storage: "pods", At: 1}); err != nil {
		t.Errorf("list as of the beginning: %v", err)
	}
}

func mustGet(t testing.TB, s *Store, key Key) Entry {
	t.Helper()
	entry, err := s.Get(key)
	if err != nil {
		t.Fatal(err)
	}
	return entry
}

// Of all who change an entry from one revision, exactly one may win.
func TestConcurrentCompareAndSwap(t *testing.T) {
	t.Parallel()
	s, ctx := newStore(t), t.Context()
	key := pod("a", "x")
	mustCreate(t, s, key, "0")
	const writers, each = 8, 25
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			for done := 0; done < each; {
				entry, err := s.Get(key)
				if err != nil {
					t.Error(err)
					return
				}
				var n int
				if _, err := fmt.Sscan(string(entry.Value), &n); err != nil {
					t.Error(err)
					return
				}
				_, err = s.Update(ctx, key, fmt.Append(nil, n+1), entry.Modified)
				if err == nil {
					done++
				} else if !errors.Is(err, ErrConflict) {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	if got := string(mustGet(t, s, key).Value); got != fmt.Sprint(writers*each) {
		t.Errorf("counted to %s, want %d", got, writers*each)
	}
}

// Writes that wait together share a transaction; one that is refused does not
// spoil the others.
func TestGroupCommit(t *testing.T) {
	t.Parallel()
	s, err := Open(filepath.Join(t.TempDir(), "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	batch := make([]*write, 100)
	for i := range batch {
		batch[i] = &write{action: create, key: pod("a", fmt.Sprint(i%99)), done: make(chan struct{})}
	}
	stats := s.db.Stats()
	before := stats.TxStats.GetWrite()
	s.commit(batch)
	for i, w := range batch {
		<-w.done
		if taken := i == 99; taken != errors.Is(w.err, ErrExists) || (!taken && w.err != nil) {
			t.Errorf("write %d: %v", i, w.err)
		}
	}
	// 99 entries in a handful of pages; a commit each would write several hundred.
	stats = s.db.Stats()
	if pages := stats.TxStats.GetWrite() - before; pages > 20 {
		t.Errorf("%d page writes for one batch", pages)
	}
	if s.Revision() != 100 {
		t.Errorf("revision %d after 99 writes from 1", s.Revision())
	}
}

func TestWriteWaitsForRun(t *testing.T) {
	t.Parallel()
	s, err := Open(filepath.Join(t.TempDir(), "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Create(ctx, pod("a", "x"), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("create with a context that ended: %v", err)
	}
	stop := run(t, s)
	mustCreate(t, s, pod("a", "x"), "")
	stop()
}
