package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
)

func mustWatch(t *testing.T, s *Store, namespace string, from uint64) *Watch {
	t.Helper()
	w, err := s.Watch("pods", namespace, from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func mustNext(t *testing.T, w *Watch) []Event {
	t.Helper()
	events, err := w.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return events
}

func TestWatchTellsEachChange(t *testing.T) {
	t.Parallel()
	s, ctx := newStore(t), t.Context()
	from := s.Revision()
	created := mustCreate(t, s, pod("a", "x"), "one")
	mustCreate(t, s, pod("b", "other"), "")
	mustCreate(t, s, Key{Storage: "nodes", Name: "n"}, "")
	updated, err := s.Update(ctx, pod("a", "x"), []byte("two"), created)
	if err != nil {
		t.Fatal(err)
	}
	deleted, err := s.Delete(ctx, pod("a", "x"), updated)
	if err != nil {
		t.Fatal(err)
	}
	w := mustWatch(t, s, "a", from)
	events := mustNext(t, w)
	if len(events) != 3 {
		t.Fatalf("%d events: %+v", len(events), events)
	}
	for i, want := range []struct {
		revision     uint64
		value, prev  string
		prevModified uint64
	}{{created, "one", "", 0}, {updated, "two", "one", created}, {deleted, "", "two", updated}} {
		e := events[i]
		if e.Revision != want.revision || string(e.Value) != want.value || string(e.Prev) != want.prev || e.PrevModified != want.prevModified || e.Created != created {
			t.Errorf("event %d: %+v, want %+v", i, e, want)
		}
	}
	if events[2].Value != nil || events[0].Prev != nil {
		t.Error("the first event has a past or the last one a future")
	}
	if w.Revision() != s.Revision() {
		t.Errorf("progress %d, want %d", w.Revision(), s.Revision())
	}
}

func TestWatchWaits(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	w := mustWatch(t, s, "a", s.Revision())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("next with a context that ended: %v", err)
	}
	got := make(chan []Event)
	go func() {
		events, err := w.Next(t.Context())
		if err != nil {
			t.Error(err)
		}
		got <- events
	}()
	mustCreate(t, s, pod("b", "not ours"), "")
	mustCreate(t, s, pod("a", "x"), "")
	if events := <-got; len(events) != 1 || events[0].Key.Name != "x" {
		t.Errorf("events: %+v", events)
	}
}

func TestWatchEndsWithTheStore(t *testing.T) {
	t.Parallel()
	s, err := Open(t.TempDir() + "/store.db")
	if err != nil {
		t.Fatal(err)
	}
	w := mustWatch(t, s, "", s.Revision())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Next(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("next: %v", err)
	}
}

// A watch that falls behind is told so, and does not make history grow.
func TestHistoryIsBounded(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	quiet, err := s.Watch("nodes", "", s.Revision())
	if err != nil {
		t.Fatal(err)
	}
	defer quiet.Close()
	slow := mustWatch(t, s, "", s.Revision())
	from := s.Revision()
	for i := range maxHistoryEvents + 1 {
		s.publish([]*write{{key: pod("a", fmt.Sprint(i)), event: Event{Key: pod("a", "x"), Revision: from + uint64(i) + 1}}})
	}
	if _, err := slow.Next(t.Context()); !errors.Is(err, ErrExpired) {
		t.Errorf("slow watch: %v", err)
	}
	if _, err := s.Watch("pods", "", from); !errors.Is(err, ErrExpired) {
		t.Errorf("watch from before the history: %v", err)
	}
	h := s.historyOf("pods")
	if len(h.events) != maxHistoryEvents {
		t.Errorf("%d events held", len(h.events))
	}
	big := make([]byte, maxHistoryBytes/4)
	for i := range 10 {
		s.publish([]*write{{key: pod("a", "big"), event: Event{Value: big, Revision: from + maxHistoryEvents + uint64(i) + 2}}})
	}
	if h.bytes > maxHistoryBytes || len(h.events) != 3 {
		t.Errorf("%d bytes in %d events held", h.bytes, len(h.events))
	}
	if quiet.Revision() != s.Revision() {
		t.Error("the watch of a quiet storage fell behind")
	}
}

// Every watch sees every event once, in order, while writers and other watches
// come and go.
// A change that alone is more than a history may hold is told to those who have
// seen all before it.
func TestHugeChangeIsTold(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	created := mustCreate(t, s, pod("a", "x"), "")
	w := mustWatch(t, s, "", created)
	updated, err := s.Update(t.Context(), pod("a", "x"), make([]byte, maxHistoryBytes), created)
	if err != nil {
		t.Fatal(err)
	}
	if events := mustNext(t, w); len(events) != 1 || events[0].Revision != updated {
		t.Errorf("%d events", len(events))
	}
}

func TestManyWatches(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	const writers, each, watches = 4, 50, 6
	var group sync.WaitGroup
	start := s.Revision()
	for range watches {
		w := mustWatch(t, s, "", start)
		group.Go(func() {
			last := start
			for n := 0; n < writers*each; {
				events, err := w.Next(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				for _, e := range events {
					if e.Revision != last+1 {
						t.Errorf("revision %d after %d", e.Revision, last)
					}
					last = e.Revision
				}
				n += len(events)
			}
		})
	}
	for i := range writers {
		group.Go(func() {
			for j := range each {
				if _, err := s.Create(t.Context(), pod("a", fmt.Sprintf("%d-%d", i, j)), nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
}

// What a failed commit left on disk unseen must make watches start over.
func TestResync(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	w := mustWatch(t, s, "", s.Revision())
	s.resync()
	if _, err := w.take(); err != nil {
		t.Errorf("nothing was lost, yet: %v", err)
	}
	stolen := &write{action: create, key: pod("a", "x"), done: make(chan struct{})}
	if err := s.transact([]*write{stolen}); err != nil {
		t.Fatal(err)
	}
	s.resync()
	if _, err := w.Next(t.Context()); !errors.Is(err, ErrExpired) {
		t.Errorf("next: %v", err)
	}
}
